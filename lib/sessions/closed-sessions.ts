import type { Session } from './session.js'

/** The sessions that nobody holds, in the order in which they make room for new ones. */
export class ClosedSessions {
  /** Those of one request and no page: mostly clients that keep no cookie, and will never return. */
  readonly #onlyOnce = new Set<Session>()
  readonly #others = new Set<Session>()

  get size(): number {
    return this.#onlyOnce.size + this.#others.size
  }

  add(session: Session): void {
    if (session.returned) this.#others.add(session)
    else this.#onlyOnce.add(session)
  }

  delete(session: Session): void {
    if (!this.#others.delete(session)) this.#onlyOnce.delete(session)
  }

  /**
   * The one that is missed least: a set keeps the order in which sessions closed.
   * @param isAwaited whether somebody is on the way to it: then it is as good as open
   */
  first(isAwaited: (session: Session) => boolean): Session | undefined {
    for (const sessions of [this.#onlyOnce, this.#others])
      for (const session of sessions) if (!isAwaited(session)) return session
    return undefined
  }
}
