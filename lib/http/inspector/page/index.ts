import type { Snapshot } from '../data.js'
import { confirmEnd, endSession } from './confirm.js'
import { showDetails } from './details.js'
import { byId, setText } from './dom.js'
import { matchesText, showList } from './list.js'
import { showOverview } from './overview.js'
import { Poll, type Problem } from './poll.js'

// The page of the inspector. The fragment of the URL selects a session; without one, the page lists all sessions.

const form = byId<HTMLFormElement>('search')
const pause = byId<HTMLButtonElement>('pause')
const announcement = byId('announcement')
const poll = new Poll({ query, show, fail })
let page = 0
let shown: Snapshot | undefined
/** Whether to announce the result of a search to screen readers. Polled data isn't announced. */
let announces = false

function query(): URLSearchParams {
  const asked = new URLSearchParams({ ...fields(), page: String(page) })
  const id = selected()
  if (id !== undefined) asked.set('session', id)
  return asked
}

function fields(): Record<string, string> {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]))
}

function selected(): string | undefined {
  return /^#session=([\w-]+)$/.exec(location.hash)?.[1]
}

function show(snapshot: Snapshot): void {
  const { list } = snapshot
  if (list.rows.length === 0 && list.offset > 0) {
    page = 0
    void poll.read()
    return
  }
  byId('problem').hidden = true
  document.body.classList.remove('stale')
  if (shown !== undefined && shown.process.pid !== snapshot.process.pid)
    announce('Another process has answered. Each process shows its own sessions.')
  shown = snapshot
  showOverview(snapshot)
  showList(snapshot, fields().text !== '' || fields().status !== '')
  const id = selected()
  if (id !== undefined) showDetails(id, snapshot.details)
  showLive()
  if (announces) announce(matchesText(list))
  announces = false
}

function fail(problem: Problem): void {
  document.body.classList.add('stale')
  byId('problem').hidden = false
  setText(
    byId('problem'),
    problem === 'refused'
      ? 'You are no longer logged in, or no longer allowed to see this page. Reload it.'
      : 'The server doesn’t respond. The data is out of date. Trying again…',
  )
  showLive()
}

function showLive(): void {
  const isPaused = pause.getAttribute('aria-pressed') === 'true'
  const isStale = document.body.classList.contains('stale')
  document.body.classList.toggle('paused', isPaused)
  setText(byId('live'), isStale ? 'Not current' : isPaused ? 'Paused' : 'Live')
}

function announce(text: string): void {
  setText(announcement, text)
}

/** Shows the list or one session, depending on the URL. */
function route(isFirst: boolean): void {
  const id = selected()
  const former = byId('details-heading').textContent
  byId('list').hidden = id !== undefined
  byId('details').hidden = id === undefined
  if (id !== undefined) {
    const known = shown?.details?.row.id === id ? shown.details : undefined
    setText(byId('details-heading'), id)
    byId('details-content').hidden = known === undefined
    byId('gone').hidden = true
    if (!isFirst) byId('details-heading').focus()
  } else if (!isFirst) {
    const link = document.querySelector<HTMLElement>(`#rows a[href="#session=${former}"]`)
    const target = link ?? byId('list-heading')
    target.focus()
  }
  void poll.read()
}

function search(): void {
  page = 0
  announces = true
  void poll.read()
}

function turn(by: number, button: HTMLElement): void {
  if (button.getAttribute('aria-disabled') === 'true') return
  page += by
  announces = true
  void poll.read()
}

function askToEnd(): void {
  const id = selected()
  if (id !== undefined) confirmEnd(id, () => void end(id))
}

async function end(id: string): Promise<void> {
  announce(await endSession(id))
  // The button is about to be hidden, and would take the focus with it.
  byId('details-heading').focus()
  void poll.read()
}

let typing: number | undefined
form.addEventListener('input', event => {
  clearTimeout(typing)
  const isTyping = event.target instanceof HTMLInputElement && event.target.type === 'search'
  typing = setTimeout(search, isTyping ? 200 : 0)
})
form.addEventListener('submit', event => {
  event.preventDefault()
  clearTimeout(typing)
  search()
})
for (const [id, by] of [
  ['previous', -1],
  ['following', 1],
] as const) {
  const button = byId(id)
  button.addEventListener('click', () => turn(by, button))
}
pause.addEventListener('click', () => {
  const isPaused = pause.getAttribute('aria-pressed') !== 'true'
  pause.setAttribute('aria-pressed', String(isPaused))
  poll.isPaused = isPaused
  showLive()
})
byId('end').addEventListener('click', askToEnd)
byId('skip').addEventListener('click', event => {
  event.preventDefault()
  byId('main').focus()
})
window.addEventListener('hashchange', () => route(false))
route(true)
