const UNITS: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
]

/** `3 min 20 s`: the two largest units. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000) * 1000
  const first = UNITS.findIndex(([, unit]) => seconds >= unit)
  if (first < 0) return '0 s'
  let rest = seconds
  const parts = UNITS.slice(first, first + 2).map(([name, unit]) => {
    const amount = Math.floor(rest / unit)
    rest -= amount * unit
    return amount > 0 ? `${amount} ${name}` : ''
  })
  return parts.filter(part => part !== '').join(' ')
}

/** With the units of the library's options: a kB has 1024 bytes. */
export function bytes(amount: number): string {
  let scaled = amount
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (scaled < 1024)
      return `${unit === 'B' || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${unit}`
    scaled /= 1024
  }
  return `${scaled.toFixed(1)} TB`
}

export function count(amount: number): string {
  return amount.toLocaleString('en')
}

/** `1 page`, `2 pages`. */
export function plural(amount: number, noun: string): string {
  return `${count(amount)} ${noun}${amount === 1 ? '' : 's'}`
}

export function shortId(id: string): string {
  return id.slice(0, 8)
}
