import { setImmediate } from 'node:timers/promises'
import type { SessionRegistry } from '../../sessions/registry.js'
import type { Session } from '../../sessions/session.js'
import type { Counts, DueItem, Order, SessionPage, SessionStatus } from './data.js'
import { Lowest } from './lowest.js'
import { dueOf, infoOf, type Moment, rowOf, scopeName, statusOf } from './session-rows.js'

/** Which sessions to list. */
export interface ListQuery {
  /** A part of the id, of the info, or of the id or name of a scope, in lower case. */
  readonly text: string
  readonly status: SessionStatus | undefined
  readonly order: Order
  /** From 0. */
  readonly page: number
}

/** The result of reading all sessions once. */
export interface Survey {
  readonly list: SessionPage
  readonly counts: Counts
  readonly due: readonly DueItem[]
  /** The most bytes and files that one session has. */
  readonly largest: { readonly bytes: number; readonly files: number }
}

/** Reads all sessions, in slices that leave the event loop free. Only what is shown is kept. */
export async function survey(registry: SessionRegistry, moment: Moment, query: ListQuery): Promise<Survey> {
  const offset = Math.min(query.page, MAX_PAGE) * PAGE_SIZE
  const found = new Lowest<Session>(offset + PAGE_SIZE)
  const due = new Lowest<DueItem>(DUE_SHOWN)
  const counts = { open: 0, waiting: 0, ending: 0, pages: 0, files: 0 }
  const largest = { bytes: 0, files: 0 }
  let matches = 0
  let read = 0
  for (const session of both(registry.ending, registry.values())) {
    if (++read >= SLICE) {
      await setImmediate()
      read = 0
    }
    counts[statusOf(session)]++
    counts.pages += session.pages
    const files = moment.cache.peek(session.id)
    counts.files += files?.count ?? 0
    largest.bytes = Math.max(largest.bytes, files?.bytes ?? 0)
    largest.files = Math.max(largest.files, files?.count ?? 0)
    const dueHere = dueOf(session, moment.now)
    for (const item of dueHere) due.add(item.in, item)
    const scopes = session.scopes?.usable ?? []
    for (const scope of scopes) for (const item of dueOf(scope, moment.now)) due.add(item.in, item)
    read += scopes.length
    if (!fits(session, query)) continue
    matches++
    found.add(keyOf(query.order, session, files?.bytes ?? 0, dueHere[0]?.in), session)
  }
  const rows = found.items.slice(offset).map(session => rowOf(session, moment))
  return { list: { rows, offset, matches }, counts, due: due.items, largest }
}

function* both(first: Iterable<Session>, second: Iterable<Session>): Generator<Session> {
  yield* first
  yield* second
}

function fits(session: Session, { text, status }: ListQuery): boolean {
  if (status !== undefined && statusOf(session) !== status) return false
  if (text === '' || session.id.includes(text) || infoOf(session).toLowerCase().includes(text)) return true
  const scopes = session.scopes?.all ?? []
  return scopes.some(scope => scope.id.includes(text) || scopeName(scope).toLowerCase().includes(text))
}

/** The lowest key comes first. */
function keyOf(order: Order, session: Session, bytes: number, due = Number.POSITIVE_INFINITY): number {
  switch (order) {
    case 'newest':
      return -session.createdAt
    case 'oldest':
      return session.createdAt
    case 'bytes':
      return -bytes
    case 'due':
      return due
  }
}

export const PAGE_SIZE = 50
/** Enough for the default of `maxSessions`. For later pages, more sessions would have to be sorted; a search finds them. */
const MAX_PAGE = 199
const DUE_SHOWN = 8
/** How many sessions and scopes are read in one turn of the event loop. This takes less than a millisecond. */
const SLICE = 250
