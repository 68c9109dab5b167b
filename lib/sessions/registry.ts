import { GradioStateError } from '../errors.js'
import type { Reason } from '../types.js'
import { EvictionOrder } from './eviction-order.js'
import type { SessionStats } from './reports.js'
import type { Session } from './session.js'

/** The sessions of this process: those that can be used, and those that are ending. */
export class SessionTable {
  readonly #most: number
  readonly #byToken = new Map<string, Session>()
  readonly #byId = new Map<string, Session>()
  readonly #evictable = new EvictionOrder()
  readonly #ending = new Set<Session>()
  readonly #ended: Record<Reason, number> = {
    disconnected: 0,
    expired: 0,
    destroyed: 0,
    regenerated: 0,
    evicted: 0,
    ended: 0,
    shutdown: 0,
  }

  /** @param most how many can be used at once */
  constructor(most: number) {
    this.#most = most
  }

  /** Those that have ended and whose callbacks are still running. */
  get ending(): Session[] {
    return [...this.#ending]
  }

  has(token: string): boolean {
    return this.#byToken.has(token)
  }

  find(token: string): Session | undefined {
    return this.#byToken.get(token)
  }

  findById(id: string): Session | undefined {
    return this.#byId.get(id)
  }

  all(): Session[] {
    return [...this.#byToken.values()]
  }

  add(session: Session): void {
    this.#byToken.set(session.token, session)
    this.#byId.set(session.id, session)
  }

  /** Who holds the session has changed, or it has returned: that decides when it makes room for others. */
  place(session: Session): void {
    this.#evictable.place(session)
  }

  /** The session has ended; it is kept as ending until {@link forget}. */
  end(session: Session, reason: Reason): void {
    if (this.#byToken.get(session.token) === session) this.#byToken.delete(session.token)
    this.#byId.delete(session.id)
    this.#evictable.delete(session)
    this.#ending.add(session)
    this.#ended[reason]++
  }

  forget(session: Session): void {
    this.#ending.delete(session)
  }

  /**
   * Which session has to make room before one is begun, if any.
   * @param expected sessions that are about to begin
   * @throws GradioStateError `TOO_MANY_SESSIONS` when none can
   */
  inTheWay(expected: number): Session | undefined {
    if (this.#byToken.size + expected < this.#most) return undefined
    const oldest = this.#evictable.first()
    if (oldest === undefined) throw tooMany(this.#most, 'all of them are open')
    // Evicted sessions whose callbacks hang hold memory too: they are bounded by as many again.
    if (this.#ending.size >= this.#most) {
      throw tooMany(this.#most, 'the callbacks of as many ended ones are still running')
    }
    return oldest
  }

  stats(): SessionStats {
    let open = 0
    let loaded = 0
    let pages = 0
    for (const session of this.#byToken.values()) {
      if (session.presence.here > 0) open++
      if (session.loaded) loaded++
      pages += session.pages
    }
    const sessions = this.#byToken.size
    return { sessions, open, loaded, ending: this.#ending.size, pages, ended: { ...this.#ended } }
  }
}

function tooMany(most: number, why: string): GradioStateError {
  return new GradioStateError(
    'TOO_MANY_SESSIONS',
    `Expected room for a new session, but there are ${most} (maxSessions) and ${why}. Try again later, or raise maxSessions.`,
  )
}
