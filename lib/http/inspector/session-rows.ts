import type { FileCache } from '../../files/cache.js'
import type { Session } from '../../sessions/session.js'
import type { DueItem, SessionRow, SessionStatus, ValueRow } from './data.js'
import { shorten, textOf } from './texts.js'

/** The moment at which sessions are read. */
export interface Moment {
  /** Milliseconds on the monotonic clock. */
  readonly now: number
  /** Milliseconds since the epoch. */
  readonly wall: number
  readonly cache: FileCache
}

export function statusOf(session: Session): SessionStatus {
  if (session.ended !== undefined) return 'ending'
  return session.presence.entryCount > 0 ? 'open' : 'waiting'
}

export function rowOf(session: Session, { now, wall, cache }: Moment): SessionRow {
  const files = cache.peek(session.id)
  return {
    id: session.id,
    status: statusOf(session),
    info: infoOf(session),
    age: Math.max(wall - session.createdAt, 0),
    pages: session.pages + session.pagesElsewhere,
    values: session.values.count + (session.localValues?.byName.size ?? 0),
    files: files?.count ?? 0,
    bytes: files?.bytes ?? 0,
    next: dueOf(session, now)[0] ?? null,
  }
}

/** What is due in a session if nothing else happens, earliest first. */
export function dueOf(session: Session, now: number): DueItem[] {
  if (session.ended !== undefined) return []
  const { phase, unloadDue, endDue } = session.presence
  const item = (what: DueItem['what'], at: number, name: string | null = null): DueItem => ({
    session: session.id,
    what,
    name,
    in: Math.max(at - now, 0),
  })
  const due = [
    ...(phase === 'loaded' ? [item('unload', unloadDue)] : []),
    item('end', endDue),
    ...valuesOf(session, now).map(value => item('value', now + (value.in ?? NEVER), value.name)),
  ]
  return due.filter(item => item.in < NEVER).sort((a, b) => a.in - b.in)
}

/** The names of a session's values, at most {@link MAX_VALUES}. */
export function valuesOf({ values, localValues }: Session, now: number): ValueRow[] {
  const rows: ValueRow[] = []
  const add = (name: string, due: number | undefined) =>
    rows.push({ name, in: due === undefined ? null : Math.max(due - now, 0) })
  for (const { name, due } of values.listed) {
    if (rows.length === MAX_VALUES) return rows
    add(name, due)
  }
  for (const [name, { deadline }] of localValues?.byName ?? []) {
    if (rows.length === MAX_VALUES) return rows
    add(name, deadline.slot < 0 ? undefined : deadline.due)
  }
  return rows
}

/** The key of a scope; for a tab, without the tab's id. */
export function scopeName({ key = '' }: Session): string {
  return key.startsWith('tab:') ? 'tab' : shorten(key, MAX_KEY)
}

/** Cached, because each search reads the texts of all sessions. */
const infos = new WeakMap<Session, string>()

export function infoOf(session: Session): string {
  const known = infos.get(session)
  if (known !== undefined) return known
  const text = textOf(session.info, MAX_INFO)
  infos.set(session, text)
  return text
}

/** How many values of a session are listed. Without this limit, a session with very many would block the process. */
export const MAX_VALUES = 100
/** In characters. */
const MAX_INFO = 200
const MAX_KEY = 100
const NEVER = Number.POSITIVE_INFINITY
