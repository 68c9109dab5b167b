import type { Session } from './session.js'

/** The sessions that may be ended to make room for new ones, in the order in which they go. */
export class EvictionOrder {
  /** Those of one request: mostly clients that keep no cookie, and will never return. */
  readonly #onlyOnce = new Set<Session>()
  readonly #others = new Set<Session>()

  /** Takes a session in, as the last of its kind, or out. To be called when it is held or closed, and when it has returned. */
  place(session: Session): void {
    this.delete(session)
    if (session.isOpen) return
    if (session.returned) this.#others.add(session)
    else this.#onlyOnce.add(session)
  }

  delete(session: Session): void {
    if (!this.#others.delete(session)) this.#onlyOnce.delete(session)
  }

  /**
   * The one that is missed least: a set keeps the order in which sessions closed. One that somebody is on the way to, as the
   * cluster has yet to answer, is as good as open.
   */
  first(): Session | undefined {
    for (const sessions of [this.#onlyOnce, this.#others])
      for (const session of sessions) if (session.presence.arriving === 0) return session
    return undefined
  }
}
