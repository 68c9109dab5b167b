import type { Session } from './session.js'

/** The sessions that can be evicted for new ones, in the order of eviction. */
export class EvictionOrder {
  /** Sessions of a single request: mostly of clients without cookies, which never return. */
  readonly #neverReturned = new Set<Session>()
  readonly #others = new Set<Session>()

  /** Adds a closed session as the last of its kind, or removes one that is open. To be called when either has changed. */
  update(session: Session): void {
    this.delete(session)
    if (session.isOpen) return
    if (session.returned) this.#others.add(session)
    else this.#neverReturned.add(session)
  }

  delete(session: Session): void {
    if (!this.#others.delete(session)) this.#neverReturned.delete(session)
  }

  /** The session to evict first: the longest closed one. A session with a pending entry counts as open. */
  first(): Session | undefined {
    for (const sessions of [this.#neverReturned, this.#others])
      for (const session of sessions) if (session.presence.pendingEntries === 0) return session
    return undefined
  }
}
