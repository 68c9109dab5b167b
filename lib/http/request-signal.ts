import type { Load } from '../sessions/load.js'
import type { Session } from '../sessions/session.js'
import type { Entry } from '../sessions/session-entry.js'

/** The `signal` of one request: aborts at the end of the request's load. It can be read before the request has a session. */
export class RequestSignal {
  #load: Load | undefined
  /** Its signal was returned before the request had a session. */
  #early: AbortController | undefined

  /** @param session the session of the request, if it has one */
  of(session: Session | undefined): AbortSignal {
    if (session !== undefined) return (this.#load ?? session.load).signal
    this.#early ??= new AbortController()
    return this.#early.signal
  }

  /** The request has entered its session. If it waits for unload hooks, it belongs to the load that begins after them. */
  follow({ ready, session }: Entry): void {
    if (ready === undefined) this.#follow(session.load)
    else void ready.then(() => this.#follow(session.load))
  }

  #follow(load: Load): void {
    this.#load = load
    const early = this.#early
    if (early === undefined) return
    if (load.signal.aborted) early.abort()
    else load.signal.addEventListener('abort', () => early.abort(), { once: true })
  }
}
