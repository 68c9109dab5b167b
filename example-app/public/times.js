const units = [
  [86_400, 'day', 'days'],
  [3600, 'hour', 'hours'],
  [60, 'minute', 'minutes'],
]

/** '2 seconds', '1 hour'. */
export function inWords(seconds) {
  for (const [size, one, many] of units) {
    const amount = seconds / size
    if (amount >= 1 && Number.isInteger(amount)) return `${amount} ${amount === 1 ? one : many}`
  }
  return `${seconds} ${seconds === 1 ? 'second' : 'seconds'}`
}

/** '0:07', '1:00:00'. */
export function onTheClock(seconds) {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const two = number => String(number).padStart(2, '0')
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}
