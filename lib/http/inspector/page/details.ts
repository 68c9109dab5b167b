import type { FileRow, Limit, ScopeRow, SessionDetails, ValueRow } from '../data.js'
import { byId, element, type ItemView, ListView, setText } from './dom.js'
import { dueText } from './due.js'
import { bytes, duration, plural, shortId } from './format.js'
import { showStatus } from './list.js'
import { limitView } from './overview.js'

const facts = new ListView<Fact>(byId('facts'), factView, ({ name }) => name)
const limits = new ListView<Limit>(byId('details-limits'), limitView)
const scopes = new ListView<ScopeRow>(byId('scopes'), scopeView, ({ id }) => id)
const values = new ListView<ValueRow>(byId('values'), valueView)
const files = new ListView<FileRow>(byId('files'), fileView)

interface Fact {
  readonly name: string
  readonly text: string
}

/** @param details `null` for a session that no longer exists */
export function showDetails(id: string, details: SessionDetails | null): void {
  setText(byId('details-heading'), id)
  byId('gone').hidden = details !== null
  byId('details-content').hidden = details === null
  byId('end').hidden = details === null || details.row.status === 'ending'
  byId('details-status').hidden = details === null
  if (details === null) return
  showStatus(byId('details-status'), details.row.status, details.reason)
  facts.show(factsOf(details))
  limits.show(details.limits)
  scopes.show(details.scopes)
  byId('scopes-section').hidden = details.scopes.length === 0
  showParent(details.parent)
  values.show(details.values)
  files.show(details.files)
  byId('no-values').hidden = details.values.length > 0
  byId('no-files').hidden = details.files.length > 0
  byId('description-section').hidden = details.description === null
  setText(byId('description'), details.description ?? '')
}

function factsOf(details: SessionDetails): Fact[] {
  const { row, phase, loads, requests, due, values, files } = details
  const shown = (all: number, rows: readonly unknown[]) => (all > rows.length ? `, ${rows.length} shown` : '')
  return [
    { name: 'Info', text: row.info || 'none' },
    { name: 'Began', text: `${duration(row.age)} ago` },
    { name: 'Phase', text: loads === 1 ? phase : `${phase}, load ${loads}` },
    { name: 'Pages', text: connectionsText(details) },
    { name: 'Requests in flight', text: String(requests) },
    { name: 'Due', text: due.slice(0, MAX_DUE).map(dueText).join(', ') || 'nothing while it is open' },
    {
      name: 'Content',
      text: `${plural(row.values, 'value')}${shown(row.values, values)}; ${plural(row.files, 'file')}${shown(row.files, files)}`,
    },
  ]
}

function connectionsText({ connections, parent }: SessionDetails): string {
  const { sockets, heartbeats, tracked, expected, elsewhere } = connections
  const parts = [
    sockets > 0 && `${sockets} by WebSocket`,
    heartbeats > 0 && `${heartbeats} by heartbeats`,
    tracked > 0 && (parent === null ? `${plural(tracked, 'socket')} of the app` : `${tracked} of the tab`),
    expected > 0 && `${expected} expected`,
    elsewhere > 0 && `${elsewhere} on other nodes`,
  ]
  return parts.filter(Boolean).join(', ') || 'none'
}

function showParent(id: string | null): void {
  const link = byId<HTMLAnchorElement>('parent')
  link.hidden = id === null
  link.href = `#session=${id}`
}

function scopeView(): ItemView<ScopeRow> {
  const [link, status] = [element('a', 'id'), element('span')]
  const [name, values, next] = [element('td'), element('td', 'number'), element('td', 'next')]
  const head = rowHead()
  head.append(link)
  return {
    root: element('tr', '', head, name, element('td', '', status), values, next),
    show(scope) {
      link.href = `#session=${scope.id}`
      setText(link, shortId(scope.id))
      setText(name, scope.name)
      showStatus(status, scope.status)
      setText(values, String(scope.values))
      setText(next, scope.next === null ? '' : dueText(scope.next))
    },
  }
}

function factView(): ItemView<Fact> {
  const name = element('dt')
  const text = element('dd')
  return {
    root: element('div', '', name, text),
    show(fact) {
      setText(name, fact.name)
      setText(text, fact.text)
    },
  }
}

function valueView(): ItemView<ValueRow> {
  const [name, left] = [rowHead(), element('td', 'number')]
  return {
    root: element('tr', '', name, left),
    show(value) {
      setText(name, value.name)
      setText(left, value.in === null ? 'no limit' : duration(value.in))
    },
  }
}

function fileView(): ItemView<FileRow> {
  const [name, size, age] = [rowHead(), element('td', 'number'), element('td', 'number')]
  return {
    root: element('tr', '', name, size, age),
    show(file) {
      setText(name, file.isPinned ? `${file.name} (pinned)` : file.name)
      setText(size, bytes(file.size))
      setText(age, duration(file.age))
    },
  }
}

function rowHead(): HTMLTableCellElement {
  const head = element('th')
  head.scope = 'row'
  return head
}

const MAX_DUE = 4
