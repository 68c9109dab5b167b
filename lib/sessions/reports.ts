import type { ErrorContext, Reason } from '../types.js'

/** What `close()` resolves with. */
export interface CloseReport {
  /**
   * What had not settled in time: a hook or callback that exceeded its time limit, a session whose end was not finished, or a server
   * with connections that were still open.
   */
  readonly timedOut: readonly (ErrorContext | { source: 'session'; session: string } | { source: 'server' })[]
}

/** The session counts in `stats()`. */
export interface SessionStats {
  /** Sessions that have not ended. */
  readonly sessions: number
  /** Of these, sessions with a page or a request in flight. */
  readonly open: number
  /** Of these, sessions that are loaded. */
  readonly loaded: number
  /** Sessions that have ended but whose callbacks are still running. */
  readonly ending: number
  /** Connected pages. */
  readonly pages: number
  /** Values of these sessions and their scopes in this process. Shared values of a cluster, which are in Redis, don't count. */
  readonly values: number
  /** How many sessions have ended since the start, by reason. */
  readonly ended: Readonly<Record<Reason, number>>
}
