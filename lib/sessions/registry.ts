import { GradioStateError } from '../errors.js'
import type { Reason } from '../types.js'
import { EvictionOrder, firstWithoutPending } from './eviction-order.js'
import type { SessionStats } from './reports.js'
import { Scopes, tooManyScopes } from './scopes.js'
import type { Session } from './session.js'

/** The sessions of this process: the usable ones, and the ended ones whose callbacks are running. Finds scopes, too. */
export class SessionRegistry {
  readonly #maxSessions: number
  readonly #onSlowEnds: (ending: number) => void
  readonly #byToken = new Map<string, Session>()
  readonly #scopesByToken = new Map<string, Session>()
  readonly #byId = new Map<string, Session>()
  readonly #evictable = new EvictionOrder()
  /** Of all sessions. Those that have been closed the longest come first. */
  readonly #closedScopes = new Set<Session>()
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

  /**
   * @param maxSessions how many sessions can be usable at once
   * @param onSlowEnds called when sessions are evicted faster than their callbacks run, with the number of sessions that are ending
   */
  constructor(maxSessions: number, onSlowEnds: (ending: number) => void) {
    this.#maxSessions = maxSessions
    this.#onSlowEnds = onSlowEnds
  }

  /** The sessions that have ended but whose callbacks are still running. */
  get ending(): Session[] {
    return [...this.#ending]
  }

  has(token: string): boolean {
    return this.#byToken.has(token)
  }

  /** The session or scope of a token. */
  find(token: string): Session | undefined {
    return this.#byToken.get(token) ?? this.#scopesByToken.get(token)
  }

  /** The session or scope with that id. */
  findById(id: string): Session | undefined {
    return this.#byId.get(id)
  }

  /** The sessions, without their scopes. */
  all(): Session[] {
    return [...this.#byToken.values()]
  }

  /** The usable sessions, oldest first. Sessions may begin and end while they are iterated. */
  values(): IterableIterator<Session> {
    return this.#byToken.values()
  }

  add(session: Session): void {
    const { parent } = session
    this.#byId.set(session.id, session)
    this.#tableOf(session).set(session.token, session)
    if (parent === undefined) return
    parent.scopes ??= new Scopes()
    parent.scopes.add(session)
  }

  /** Updates the eviction order. Must be called when a session has opened, closed or returned. */
  updateEviction(session: Session): void {
    const { parent, presence } = session
    if (parent === undefined) {
      this.#evictable.update(session)
      return
    }
    this.#closedScopes.delete(session)
    if (presence.entryCount > 0) return
    this.#closedScopes.add(session)
    parent.scopes?.closed(session)
  }

  /** Updates the eviction order. Must be called when a cleanup was added to a session. */
  noteCleanup(session: Session): void {
    this.#evictable.noteCleanup(session)
  }

  /** Moves a session that has ended to {@link ending}, or a scope to those that end in its session, until {@link forget}. */
  end(session: Session, reason: Reason): void {
    const { parent } = session
    const table = this.#tableOf(session)
    if (table.get(session.token) === session) table.delete(session.token)
    this.#byId.delete(session.id)
    if (parent !== undefined) {
      this.#closedScopes.delete(session)
      parent.scopes?.end(session)
      return
    }
    this.#evictable.delete(session)
    this.#ending.add(session)
    this.#ended[reason]++
  }

  forget(session: Session): void {
    this.#ending.delete(session)
    session.parent?.scopes?.forget(session)
  }

  /**
   * Picks the session to evict before a new one starts; `undefined` if there is room.
   * @param expected how many other sessions are about to start
   * @throws GradioStateError `TOO_MANY_SESSIONS` when none can be evicted
   */
  sessionToEvict(expected: number): Session | undefined {
    if (this.#byToken.size + expected < this.#maxSessions) return undefined
    const oldest = this.#evictable.first()
    if (oldest === undefined) throw tooMany(this.#maxSessions, 'all of them are open')
    if (this.#ending.size >= this.#slowFrom) this.#onSlowEnds(this.#ending.size)
    // Evicted sessions whose callbacks hang use memory, too. So at most `maxSessions` sessions may be ending.
    if (this.#ending.size >= this.#maxSessions) {
      throw tooMany(this.#maxSessions, 'the callbacks of as many ended sessions are still running')
    }
    return oldest
  }

  /**
   * Picks the scope to evict before a new one starts in `parent`: one of the same session if that has `maxScopes`, or one of any
   * session if this process has too many; `undefined` if there is room.
   * @throws GradioStateError `TOO_MANY_SCOPES` when none can be evicted
   */
  scopeToEvict(parent: Session, maxScopes: number): Session | undefined {
    const own = parent.scopes?.scopeToEvict(maxScopes)
    const most = Math.max(SCOPES_PER_SESSION * this.#maxSessions, maxScopes)
    if (own !== undefined || this.#scopesByToken.size < most) return own
    const oldest = firstWithoutPending(this.#closedScopes)
    if (oldest === undefined) {
      throw tooManyScopes(
        `all sessions together have ${most} (${SCOPES_PER_SESSION} × maxSessions), all of which are open`,
      )
    }
    return oldest
  }

  /**
   * Picks the session to evict so that its cleanups run: one that never returned, if there is one.
   * @param except the id of a session to keep
   */
  sessionWithCleanup(except: string): Session | undefined {
    return this.#ending.size < this.#maxSessions ? this.#evictable.firstWithCleanup(except) : undefined
  }

  #tableOf({ parent }: Session): Map<string, Session> {
    return parent === undefined ? this.#byToken : this.#scopesByToken
  }

  /** With how many ending sessions their callbacks count as slow: before new sessions are refused, but not for just a few. */
  get #slowFrom(): number {
    return Math.min(Math.max(this.#maxSessions / 2, 100), this.#maxSessions)
  }

  stats(): SessionStats {
    let open = 0
    let loaded = 0
    let pages = 0
    let values = 0
    for (const session of this.#byToken.values()) {
      if (session.presence.entryCount > 0) open++
      if (session.loaded) loaded++
      pages += session.pages
      for (const { values: own, localValues } of [session, ...(session.scopes?.usable ?? [])])
        values += own.count + (localValues?.byName.size ?? 0)
    }
    const sessions = this.#byToken.size
    return { sessions, open, loaded, ending: this.#ending.size, pages, values, ended: { ...this.#ended } }
  }
}

/** How many scopes a session has at most on average: few users have that many tabs open. */
const SCOPES_PER_SESSION = 2

function tooMany(maxSessions: number, why: string): GradioStateError {
  return new GradioStateError(
    'TOO_MANY_SESSIONS',
    `Expected room for a new session, but there are ${maxSessions} (maxSessions) and ${why}. Try again later, or raise maxSessions.`,
  )
}
