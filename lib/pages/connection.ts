import type { EndReason } from '../sessions/engine.js'
import type { Beats } from './beats.js'

/** One live socket of a page: a WebSocket or an event stream. */
export interface Connection {
  /** Whether a page has at most one of this kind: then a newer one takes the place of the older. */
  readonly isExclusive: boolean
  /** When it has to be told that its page is still connected. */
  readonly beats: Beats
  /** Such a time has come. */
  beat(): void
  /** Tells the browser why, and closes. */
  close(reason: EndReason): void
  /** Has the page send a request that renews the host's cookie; `false` where it can't. */
  renew(): boolean
  /** Drops the socket without a word. */
  terminate(): void
}
