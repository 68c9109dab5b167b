import type { Session } from './session.js'

/**
 * The sessions that can be evicted for new ones, in the order of eviction. The classes are ordered by the cost for a client to
 * get a session into them, so that sessions of scripts are evicted before those of users. In each class, the session that has
 * been closed the longest is evicted first.
 */
export class EvictionOrder {
  /** Sessions of a single request: mostly of clients without cookies, which never return. */
  readonly #neverReturned = new Set<Session>()
  /** Those of them that have cleanups, such as the removal of their files. */
  readonly #withCleanup = new Set<Session>()
  /** Sessions that returned by requests alone, or had a page for a moment. */
  readonly #returned = new Set<Session>()
  /** Sessions that had a page for a while. */
  readonly #hadPage = new Set<Session>()
  readonly #classes = [this.#neverReturned, this.#returned, this.#hadPage]

  /** Adds a closed session as the last of its class, or removes one that is open. Must be called when either has changed. */
  update(session: Session): void {
    this.delete(session)
    if (session.isOpen) return
    this.#classOf(session).add(session)
    if (session.cleanups.length > 0) this.noteCleanup(session)
  }

  /** Must be called when a cleanup was added to a session. */
  noteCleanup(session: Session): void {
    if (this.#neverReturned.has(session)) this.#withCleanup.add(session)
  }

  delete(session: Session): void {
    for (const sessions of this.#classes) sessions.delete(session)
    this.#withCleanup.delete(session)
  }

  /** The session to evict first. A session with a pending entry counts as open. */
  first(): Session | undefined {
    for (const sessions of this.#classes) {
      const session = firstWithoutPending(sessions)
      if (session !== undefined) return session
    }
    return undefined
  }

  /** The first of those that never returned and have cleanups. @param except the id of a session to skip */
  firstWithCleanup(except: string): Session | undefined {
    return firstWithoutPending(this.#withCleanup, except)
  }

  #classOf({ returned, presence }: Session): Set<Session> {
    if (!returned) return this.#neverReturned
    return presence.pageTime < MIN_PAGE_TIME ? this.#returned : this.#hadPage
  }
}

/** The first session without a pending entry, which counts as open. @param except the id of a session to skip */
export function firstWithoutPending(sessions: ReadonlySet<Session>, except?: string): Session | undefined {
  for (const session of sessions)
    if (session.presence.pendingEntries === 0 && session.id !== except) return session
  return undefined
}

/** A session that has had pages for this long in total counts as a user's, rather than as a script's; milliseconds. */
const MIN_PAGE_TIME = 30_000
