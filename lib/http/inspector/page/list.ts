import type { SessionPage, SessionRow, SessionStatus, Snapshot } from '../data.js'
import { byId, element, type ItemView, ListView, setText } from './dom.js'
import { dueText } from './due.js'
import { bytes, count, duration, plural, shortId } from './format.js'

const rows = new ListView<SessionRow>(byId('rows'), rowView, ({ id }) => id)
const tiles = [...document.querySelectorAll('[data-count]')]
const previous = byId<HTMLButtonElement>('previous')
const following = byId<HTMLButtonElement>('following')

/** Shows the sessions that match the search. */
export function showList({ list, counts }: Snapshot, isFiltered: boolean): void {
  const all = counts.open + counts.waiting + counts.ending
  const amounts: Record<string, number> = { ...counts, all }
  for (const tile of tiles) setText(tile, count(amounts[tile.getAttribute('data-count') ?? ''] ?? 0))
  rows.show(list.rows)
  const empty = byId('empty')
  empty.hidden = list.matches > 0
  byId('paging').hidden = list.matches === 0
  setText(empty, isFiltered ? 'No session matches.' : 'No sessions. One begins when a user uses the state.')
  setText(byId('range'), rangeOf(list))
  disable(previous, list.offset === 0)
  disable(following, list.offset + list.rows.length >= list.matches)
}

function rangeOf({ rows, offset, matches }: SessionPage): string {
  if (matches === 0) return ''
  return `${count(offset + 1)}–${count(offset + rows.length)} of ${count(matches)}`
}

/** Not `disabled`, which would take the focus away from a button that was just pressed. */
function disable(button: HTMLButtonElement, isOff: boolean): void {
  button.setAttribute('aria-disabled', String(isOff))
}

function rowView(): ItemView<SessionRow> {
  const link = element('a', 'id')
  const info = element('span', 'info')
  const status = element('span')
  const [age, pages, values, files] = [cell(), cell(), cell(), cell()]
  const next = element('td', 'next')
  const head = element('th', '', link, info)
  head.scope = 'row'
  const root = element('tr', '', head, element('td', '', status), age, pages, values, files, next)
  return {
    root,
    show(row) {
      link.href = `#session=${row.id}`
      link.title = row.id
      setText(link, shortId(row.id))
      setText(info, row.info)
      showStatus(status, row.status)
      setText(age, duration(row.age))
      setText(pages, count(row.pages))
      setText(values, count(row.values))
      setText(files, row.files === 0 && row.bytes === 0 ? '0' : `${count(row.files)} · ${bytes(row.bytes)}`)
      setText(next, row.next === null ? '' : dueText(row.next))
    },
  }
}

function cell(): HTMLTableCellElement {
  return element('td', 'number wide')
}

export function showStatus(node: HTMLElement, status: SessionStatus, reason: string | null = null): void {
  node.className = `status ${status}`
  setText(node, reason === null ? status : `${status}: ${reason}`)
}

/** For screen readers, after a search. */
export function matchesText({ matches }: SessionPage): string {
  return `${plural(matches, 'session')} found`
}
