// The JSON that the inspector's page receives. All times are milliseconds from the moment of the response, because the clocks of browsers
// and servers differ. `null` stands for a missing value, and for `Infinity`, which JSON can't represent.

/**
 * Open: a page is connected or a request is in flight. Waiting: closed, but its state is kept. Ending: it has ended, and callbacks are
 * running.
 */
export type SessionStatus = 'open' | 'waiting' | 'ending'

/** The orders in which sessions can be listed. */
export const ORDERS = ['newest', 'oldest', 'due', 'bytes'] as const
export type Order = (typeof ORDERS)[number]

/** Everything that the page shows at one moment. */
export interface Snapshot {
  readonly process: ProcessInfo
  readonly counts: Counts
  readonly limits: readonly Limit[]
  readonly list: SessionPage
  /** What is due next in the whole process. */
  readonly due: readonly DueItem[]
  /** The last events, newest first. */
  readonly events: readonly EventRow[]
  /** The last errors, newest first. */
  readonly errors: readonly EventRow[]
  /** The requested session; `null` if it no longer exists. */
  readonly details: SessionDetails | null
}

export interface ProcessInfo {
  readonly pid: number
  readonly host: string
  readonly node: string
  readonly uptime: number
  /** Whether other processes share the sessions. */
  readonly isShared: boolean
}

export interface Counts extends Record<SessionStatus, number> {
  readonly pages: number
  readonly files: number
}

/** How full a limit is. */
export interface Limit {
  readonly label: string
  readonly option: string
  readonly unit: 'count' | 'bytes'
  readonly used: number
  readonly max: number | null
}

/** One page of the sessions that match a search. */
export interface SessionPage {
  readonly rows: readonly SessionRow[]
  /** How many sessions come before the first row. */
  readonly offset: number
  /** How many sessions match. */
  readonly matches: number
}

export interface SessionRow {
  readonly id: string
  readonly status: SessionStatus
  /** The text of the result of the option `info`. */
  readonly info: string
  readonly age: number
  readonly pages: number
  readonly values: number
  readonly files: number
  readonly bytes: number
  readonly next: DueItem | null
}

/** Something that will happen unless the user returns or the value is updated. */
export interface DueItem {
  readonly session: string
  readonly what: 'unload' | 'end' | 'value'
  /** The name of the value. */
  readonly name: string | null
  readonly in: number
}

export interface EventRow {
  readonly session: string | null
  readonly text: string
  readonly ago: number
}

export interface SessionDetails {
  readonly row: SessionRow
  /** The reason for an end that is in progress. */
  readonly reason: string | null
  readonly phase: string
  readonly loads: number
  readonly connections: Connections
  readonly requests: number
  readonly limits: readonly Limit[]
  readonly due: readonly DueItem[]
  /** Its tabs and other scopes, which can be shown in detail by their ids. */
  readonly scopes: readonly ScopeRow[]
  /** The id of the session that a scope belongs to. */
  readonly parent: string | null
  readonly values: readonly ValueRow[]
  readonly files: readonly FileRow[]
  /** What `describe(session)` returned, as text; `null` without that option. */
  readonly description: string | null
}

/** How the pages of a session are connected. */
export interface Connections {
  readonly sockets: number
  readonly heartbeats: number
  /** Sockets of the app that were passed to `track()`. */
  readonly tracked: number
  /** Pages that are expected after a navigation or a reload. */
  readonly expected: number
  readonly elsewhere: number
}

/** A scope of a session. */
export interface ScopeRow {
  readonly id: string
  readonly status: SessionStatus
  /** The key; for a tab, without the tab's id. */
  readonly name: string
  readonly values: number
  readonly next: DueItem | null
}

export interface ValueRow {
  readonly name: string
  /** When its time to live ends; `null` if it has none. */
  readonly in: number | null
}

export interface FileRow {
  readonly name: string
  readonly size: number
  readonly age: number
  readonly isPinned: boolean
}
