import { GradioStateError } from '../errors.js'
import type { Session } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Clock } from '../util/clock.js'
import { Deadline, type DueSource } from '../util/scheduler.js'
import { TimerWheel } from '../util/timer-wheel.js'
import { EndedSessions } from './ended-sessions.js'
import type { RequestContext } from './request-context.js'
import type { FoundSession, FrameworkStore } from './session-store.js'
import { jitter } from './store-outage.js'
import type { MarkedSession } from './token-storage.js'
import { changesUser } from './user-change.js'
import { WatchedSession, WatchedStore } from './watched-session.js'

export interface ExpiryWatcherConfig {
  readonly clock: Clock
  readonly onRegenerate: 'end' | 'keep'
  readonly keepAlive: boolean
}

/** The framework session of a request. */
export interface ObservedSession {
  /** The framework's id for it. */
  readonly id: string
  /** The store that keeps it, if it can be queried. */
  readonly store: FrameworkStore | undefined
  /** Whether the browser sent its id, so that it was loaded from the store and isn't a new session that has yet to be saved. */
  isStored(): boolean
  /** When it expires (ms since the epoch), or `undefined` if unknown. */
  expires(): number | undefined
  /** The session object, while it contains the token and isn't saved yet. */
  readonly unsaved: MarkedSession | undefined
}

/**
 * Detects that framework sessions have ended. No session store emits an event for it (expressjs/session, issues 204 and 636), so the
 * store is queried: shortly after the deadline of each session, which is known from its last write or touch, and every few
 * minutes, since sessions are also evicted, flushed, or destroyed by other nodes. If the store fails or hangs, the state of
 * its sessions is unknown and nothing changes.
 */
export class ExpiryWatcher implements DueSource {
  readonly endedSessions = new EndedSessions()
  readonly #sessions: Sessions
  readonly #config: ExpiryWatcherConfig
  readonly #stores = new Map<FrameworkStore, WatchedStore>()
  readonly #byToken = new Map<string, WatchedSession>()
  readonly #wheel = new TimerWheel<WatchedSession>()
  /** How many queries are in flight. */
  #checksInFlight = 0

  constructor(sessions: Sessions, config: ExpiryWatcherConfig) {
    this.#sessions = sessions
    this.#config = config
    sessions.deadlines.add(this)
  }

  /** Adds a listener to the store. */
  watchStore(store: FrameworkStore): void {
    this.#watchedStore(store)
  }

  /** A request has found `session` through the framework session `seen`. */
  watchSession(session: Session, seen: ObservedSession): void {
    if (session.ended !== undefined) return
    const { token } = session
    let watched = this.#byToken.get(token)
    if (watched === undefined) {
      const { store } = seen
      if (store === undefined) return
      const added = new WatchedSession(token, this.#watchedStore(store), seen.id)
      watched = added
      this.#byToken.set(token, watched)
      watched.store.sessions.set(watched.id, watched)
      session.onEnd(() => this.#remove(added))
    } else if (watched.id !== seen.id) {
      this.#move(watched, seen.id)
    }
    const { unsaved } = seen
    if (unsaved !== undefined) watched.noteUnsaved(unsaved)
    if (watched.isSaved) this.#seen(watched)
    else if (seen.isStored()) this.#saved(watched, this.#onMonotonic(seen.expires()))
  }

  /** The id of the framework session that leads to the session with this token, if one was seen. */
  frameworkIdOf(token: string): string | undefined {
    return this.#byToken.get(token)?.id
  }

  /** Whether the framework session with this id leads to a session here. */
  watches(id: string): boolean {
    for (const { sessions } of this.#stores.values()) if (sessions.has(id)) return true
    return false
  }

  nextDue(): number | undefined {
    return this.#checksInFlight < MAX_CHECKS ? this.#wheel.next() : undefined
  }

  work(limit: number): void {
    const { now } = this.#sessions.deadlines
    this.#wheel.expire(now, Math.min(limit, MAX_CHECKS - this.#checksInFlight), watched => {
      const at = Math.max(watched.checkAt, watched.store.resumeAt)
      if (at > now) this.#schedule(watched, at)
      else void this.#check(watched)
    })
  }

  /** Removes the listeners from all stores. */
  close(): void {
    for (const store of this.#stores.values()) store.close()
    this.#stores.clear()
    for (const watched of this.#byToken.values()) this.#wheel.cancel(watched)
    this.#byToken.clear()
  }

  #watchedStore(store: FrameworkStore): WatchedStore {
    let watchedStore = this.#stores.get(store)
    if (watchedStore === undefined) {
      watchedStore = new WatchedStore(store, error => this.#sessions.hooks.report(error, { source: 'store' }))
      this.#listen(watchedStore)
      this.#stores.set(store, watchedStore)
    }
    return watchedStore
  }

  #listen(watchedStore: WatchedStore): void {
    const { sessions } = watchedStore
    const endSession = (id: string, reason: 'destroyed' | 'regenerated') => {
      this.endedSessions.add(id)
      const watched = sessions.get(id)
      watched?.removeToken()
      const session = watched && this.#sessions.find(watched.token)
      if (session !== undefined) void this.#sessions.end(session, reason)
    }
    watchedStore.close = watchedStore.store.listen({
      saved: (id, session, expires) => {
        const watched = sessions.get(id)
        if (watched === undefined) return
        watched.noteSaved(session)
        this.#saved(watched, this.#onMonotonic(expires))
      },
      destroyed: id => endSession(id, 'destroyed'),
      cleared: () => {
        for (const id of [...sessions.keys()]) endSession(id, 'destroyed')
      },
      regenerating: (id, context) => {
        const keeps = this.#config.onRegenerate === 'keep' && !changesUser(context)
        return () => {
          const watched = sessions.get(id)
          if (keeps && watched !== undefined) this.#keepSession(watched, context)
          else endSession(id, 'regenerated')
        }
      },
      connected: isConnected => {
        watchedStore.isConnected = isConnected
        for (const watched of sessions.values())
          if (watched.isChecked) this.#schedule(watched, watched.checkAt)
      },
    })
  }

  /** Makes the request's new framework session lead to the same session as the old one. */
  #keepSession(watched: WatchedSession, context: RequestContext): void {
    this.endedSessions.add(watched.id)
    watched.removeToken()
    Object.assign(context.session as object, { gradioState: { token: watched.token } })
    this.#move(watched, context.sessionID as string)
  }

  #move(watched: WatchedSession, id: string): void {
    watched.store.sessions.delete(watched.id)
    this.#wheel.cancel(watched)
    watched.moveTo(id)
    watched.store.sessions.set(id, watched)
  }

  #remove(watched: WatchedSession): void {
    this.#wheel.cancel(watched)
    this.#byToken.delete(watched.token)
    watched.store.sessions.delete(watched.id)
  }

  /** @param expires on the monotonic clock */
  #saved(watched: WatchedSession, expires: number): void {
    watched.isSaved = true
    watched.expires = expires
    watched.overdueChecks = 0
    this.#seen(watched)
  }

  /** The framework session is known to exist. */
  #seen(watched: WatchedSession): void {
    const { now } = this.#sessions.deadlines
    watched.isMissing = false
    watched.seenAt = now
    watched.checkAt = this.#nextCheck(watched, now)
    // An earlier deadline in the wheel is rescheduled when it is reached. Doing so on each request would cost more.
    if (watched.slot < 0 || watched.checkAt < watched.due) this.#schedule(watched, watched.checkAt)
  }

  #nextCheck(watched: WatchedSession, now: number): number {
    const poll = now + jitter(Math.max(CHECK_INTERVAL, this.#byToken.size * CHECK_SPACING))
    const { expires } = watched
    // The session exists after its deadline: another process has touched it, or the store deletes it late.
    if (expires <= now) return Math.min(poll, now + EXPIRY_GRANULARITY * 2 ** watched.overdueChecks++)
    return Math.min(poll, this.#isKeptAlive(watched) ? now + (expires - now) / 2 : expires + EXPIRY_MARGIN)
  }

  #isKeptAlive({ token }: WatchedSession): boolean {
    return this.#config.keepAlive && (this.#sessions.find(token)?.pages ?? 0) > 0
  }

  #schedule(watched: WatchedSession, at: number): void {
    this.#wheel.schedule(watched, Math.max(at, watched.store.resumeAt))
    this.#sessions.deadlines.wake()
  }

  async #check(watched: WatchedSession): Promise<void> {
    const { deadlines } = this.#sessions
    const { id, store } = watched
    const askedAt = deadlines.now
    const isCurrent = () => watched.id === id && this.#byToken.get(watched.token) === watched
    this.#checksInFlight++
    try {
      const found = await this.#withTimeout(store.store.find(id))
      store.outage.answered(deadlines.now)
      if (!isCurrent()) return
      if (found !== undefined) await this.#sessionFound(watched, found)
      // It may have been saved while the query was in flight.
      else if (watched.seenAt < askedAt) this.#sessionMissing(watched)
      else this.#schedule(watched, watched.checkAt)
    } catch (error) {
      store.outage.failed(error, deadlines.now)
      if (isCurrent()) this.#schedule(watched, store.resumeAt)
    } finally {
      this.#checksInFlight--
      deadlines.wake()
    }
  }

  async #sessionFound(watched: WatchedSession, found: FoundSession): Promise<void> {
    // Many stores keep the deadline apart from the session data, so an earlier deadline in the data is ignored.
    const expires = this.#onMonotonic(found.expires)
    if (expires !== Number.POSITIVE_INFINITY && expires > watched.expires) this.#saved(watched, expires)
    else this.#seen(watched)
    if (!this.#isKeptAlive(watched)) return
    await this.#withTimeout(found.touch())
    this.#sessions.find(watched.token)?.pageList?.renew()
  }

  #sessionMissing(watched: WatchedSession): void {
    const { now } = this.#sessions.deadlines
    const { token, expires, seenAt } = watched
    watched.isMissing = true
    const session = this.#sessions.find(token)
    const since = seenAt <= expires && expires <= now ? expires : now
    if (session !== undefined) this.#sessions.expire(session, now - since)
  }

  /** Rejects when the store takes too long: a store that hangs counts as failed. */
  #withTimeout<T>(answer: Promise<T>): Promise<T> {
    const { deadlines } = this.#sessions
    return new Promise((resolve, reject) => {
      const limit = new Deadline(() => reject(timedOut()))
      deadlines.schedule(limit, ANSWER_TIMEOUT)
      answer.then(resolve, reject).finally(() => deadlines.cancel(limit))
    })
  }

  #onMonotonic(wall: number | undefined): number {
    if (wall === undefined) return Number.POSITIVE_INFINITY
    return this.#sessions.deadlines.now + wall - this.#config.clock.wall()
  }
}

function timedOut(): GradioStateError {
  return new GradioStateError(
    'STORE_TIMEOUT',
    `Expected the session store to answer within ${ANSWER_TIMEOUT / 1000} s, got no answer. No state is deleted, and the query is repeated.`,
  )
}

/** How often the store is queried for a session without requests, unless there are very many sessions. */
const CHECK_INTERVAL = 300_000
/** The minimum average interval between such queries for all sessions. */
const CHECK_SPACING = 10
/** How long after its deadline the store is queried for a session. */
const EXPIRY_MARGIN = 50
/** Stores round deadlines up to whole seconds (connect-redis, the columns of SQL stores), so the next query comes after this time. */
const EXPIRY_GRANULARITY = 1_000
const MAX_CHECKS = 16
const ANSWER_TIMEOUT = 10_000
