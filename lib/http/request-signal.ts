import type { Load } from '../sessions/load.js'
import type { Session } from '../sessions/session.js'

/** The `signal` of one request: aborts at the end of the load that the request came to, also when it was asked for before. */
export class RequestSignal {
  #load: Load | undefined
  /** Serves until the request has a session. */
  #early: AbortController | undefined

  /** @param session that of the request, if it has one */
  of(session: Session | undefined): AbortSignal {
    if (session !== undefined) return (this.#load ?? session.load).signal
    this.#early ??= new AbortController()
    return this.#early.signal
  }

  /** The request has come to that load. */
  follow(load: Load): void {
    this.#load = load
    const early = this.#early
    if (early === undefined) return
    if (load.signal.aborted) early.abort()
    else load.signal.addEventListener('abort', () => early.abort(), { once: true })
  }
}
