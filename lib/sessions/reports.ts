import type { ErrorContext, Reason } from '../types.js'

/** What `close()` resolves with. */
export interface CloseReport {
  /** What was given up: a hook or callback that outran its time limit, or a session that was not finished in time. */
  readonly timedOut: readonly (ErrorContext | { source: 'session'; session: string })[]
}

/** What `stats()` tells of the sessions. */
export interface SessionStats {
  /** Sessions that can be used now. */
  readonly sessions: number
  /** Of these, those with a page or a request. */
  readonly open: number
  /** Of these, those whose user is here: loaded and not yet unloaded. */
  readonly loaded: number
  /** Sessions that have ended and whose callbacks are still running. */
  readonly ending: number
  /** Connected pages. */
  readonly pages: number
  /** How many sessions have ended so far, by reason. */
  readonly ended: Readonly<Record<Reason, number>>
}
