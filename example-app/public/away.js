import { inWords } from '/times.js'

/** Where the page stores when it was open, and its session. */
const storageKey = 'state-cleanup-demo'

const part = {
  away: document.getElementById('away'),
  heading: document.getElementById('away-heading'),
  events: document.getElementById('away-events'),
  result: document.getElementById('away-result'),
}

/** Stores that the page is open now. When it is left, the last stored time remains. */
export function noteOpen(session) {
  if (session) localStorage.setItem(storageKey, JSON.stringify({ session, at: Date.now() }))
}

/**
 * Shows what the server has done since a page of this browser was left.
 * @param reportsOf asks the server what happened to a session
 */
export async function showWhatHappened(reportsOf) {
  const left = JSON.parse(localStorage.getItem(storageKey))
  localStorage.removeItem(storageKey)
  if (left === null) return
  const reports = await reportsOf(left.session)
  const away = (Date.now() - left.at) / 1000
  const meanwhile = reports
    .map(report => ({ ...report, after: away - report.secondsAgo }))
    .filter(({ event, after }) => after > 0 && event !== 'LOAD')
  if (meanwhile.length > 0) draw(meanwhile, away)
}

function draw(reports, away) {
  part.heading.textContent = `While you were away for ${inWhole(away)}`
  part.events.replaceChildren(...reports.map(line))
  const isOver = reports.some(({ event }) => event === 'ENDED')
  part.result.textContent = isOver
    ? 'You are a new user now, and start with a new picture.'
    : 'You came back in time: your history and your own pictures are still here.'
  part.away.hidden = false
}

function line({ event, details, after }) {
  const item = document.createElement('li')
  const time = document.createElement('span')
  time.className = 'when'
  time.textContent = `after ${inWhole(after)}`
  const name = document.createElement('code')
  name.textContent = event
  const text = document.createElement('span')
  text.textContent = explain(event, details)
  item.append(time, name, text)
  return item
}

function explain(event, [count, reason]) {
  if (event === 'UNLOAD') return 'Your directory was deleted, with all generated pictures in it.'
  if (event === 'ENDED') return 'Your own pictures were deleted. Nothing of yours was left on the server.'
  const pictures = count === 1 ? '1 picture' : `${count} pictures`
  return `Your history of ${pictures} was deleted${reason === 'timeToLive' ? ': its time to live was over.' : '.'}`
}

function inWhole(seconds) {
  return seconds < 120 ? inWords(Math.max(1, Math.round(seconds))) : inWords(60 * Math.round(seconds / 60))
}
