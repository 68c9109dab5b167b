import { GradioStateError } from '../errors.js'
import type { Session } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Clock } from '../util/clock.js'
import { Deadline, type DueSource } from '../util/scheduler.js'
import { TimerWheel } from '../util/timer-wheel.js'
import { OverSessions } from './ended-sessions.js'
import type { Marker, RequestContext } from './host.js'
import type { FoundSession, HostStore } from './session-store.js'
import { jitter } from './store-outage.js'
import { changesUser } from './user.js'
import { Track, WatchedStore } from './watched-session.js'

/** What a watch is set up with. */
export interface WatchConfig {
  readonly clock: Clock
  readonly onRegenerate: 'end' | 'keep'
  readonly keepAlive: boolean
}

/** The host session of a request. */
export interface HostSessionSeen {
  /** What the host calls it. */
  readonly id: string
  /** The store that it is kept in, if that can be asked. */
  readonly store: HostStore | undefined
  /** Whether the browser knows the id: then it has come from the store, and is not a new one that has yet to be saved. */
  isStored(): boolean
  /** Until when it lasts (ms since the epoch), as far as it says so itself. */
  expires(): number | undefined
  /** The host session itself, while it has the token and isn't saved yet. */
  readonly unsaved: Marker | undefined
}

/**
 * Learns that host sessions are gone. No session store announces it (expressjs/session, issues 204 and 636), so the store is
 * asked: when a session is due by the deadline that was noted as it was written or touched, and now and then, since
 * sessions are also evicted, flushed, or destroyed by other nodes. A store that fails or hangs tells nothing, and nothing
 * follows from it.
 */
export class ExpiryWatch implements DueSource {
  readonly over = new OverSessions()
  readonly #manager: Sessions
  readonly #config: WatchConfig
  readonly #stores = new Map<HostStore, WatchedStore>()
  readonly #byToken = new Map<string, Track>()
  readonly #wheel = new TimerWheel<Track>()
  /** How many sessions are being asked for. */
  #asking = 0

  constructor(manager: Sessions, config: WatchConfig) {
    this.#manager = manager
    this.#config = config
    manager.deadlines.add(this)
  }

  /** Listens to a store from now on. */
  watch(store: HostStore): void {
    this.#watched(store)
  }

  /** A request has come to its session by that host session. */
  follow(session: Session, seen: HostSessionSeen): void {
    if (session.ended !== undefined) return
    const { token } = session
    let track = this.#byToken.get(token)
    if (track === undefined) {
      const { store } = seen
      if (store === undefined) return
      const added = new Track(token, this.#watched(store), seen.id)
      track = added
      this.#byToken.set(token, track)
      track.store.tracks.set(track.id, track)
      session.onEnd(() => this.#remove(added))
    } else if (track.id !== seen.id) {
      this.#move(track, seen.id)
    }
    const { unsaved } = seen
    if (unsaved !== undefined) track.noteUnsaved(unsaved)
    if (track.isSaved) this.#seen(track)
    else if (seen.isStored()) this.#saved(track, this.#onMonotonic(seen.expires()))
  }

  /** The id of the host session that leads to the session of that token, if any was seen to. */
  carrierOf(token: string): string | undefined {
    return this.#byToken.get(token)?.id
  }

  /** Whether the host session of that id leads to a session here. */
  follows(id: string): boolean {
    for (const { tracks } of this.#stores.values()) if (tracks.has(id)) return true
    return false
  }

  nextDue(): number | undefined {
    return this.#asking < PARALLEL ? this.#wheel.next() : undefined
  }

  work(limit: number): void {
    const { now } = this.#manager.deadlines
    this.#wheel.expire(now, Math.min(limit, PARALLEL - this.#asking), track => {
      const at = Math.max(track.askAt, track.store.resumeAt)
      if (at > now) this.#schedule(track, at)
      else void this.#ask(track)
    })
  }

  /** Listens to no store any more. */
  close(): void {
    for (const store of this.#stores.values()) store.close()
    this.#stores.clear()
    for (const track of this.#byToken.values()) this.#wheel.cancel(track)
    this.#byToken.clear()
  }

  #watched(store: HostStore): WatchedStore {
    let watched = this.#stores.get(store)
    if (watched === undefined) {
      watched = new WatchedStore(store, error => this.#manager.hooks.report(error, { source: 'store' }))
      this.#listen(watched)
      this.#stores.set(store, watched)
    }
    return watched
  }

  #listen(watched: WatchedStore): void {
    const { tracks } = watched
    const gone = (id: string, reason: 'destroyed' | 'regenerated') => {
      this.over.add(id)
      const track = tracks.get(id)
      track?.unmark()
      const session = track && this.#manager.find(track.token)
      if (session !== undefined) void this.#manager.end(session, reason)
    }
    watched.close = watched.store.listen({
      saved: (id, session, expires) => {
        const track = tracks.get(id)
        if (track === undefined) return
        track.noteSaved(session)
        this.#saved(track, this.#onMonotonic(expires))
      },
      destroyed: id => gone(id, 'destroyed'),
      cleared: () => {
        for (const id of [...tracks.keys()]) gone(id, 'destroyed')
      },
      regenerating: (id, context) => {
        const keeps = this.#config.onRegenerate === 'keep' && !changesUser(context)
        return () => {
          const track = tracks.get(id)
          if (keeps && track !== undefined) this.#carryOver(track, context)
          else gone(id, 'regenerated')
        }
      },
      connected: isConnected => {
        watched.isConnected = isConnected
        for (const track of tracks.values()) if (track.isWatched) this.#schedule(track, track.askAt)
      },
    })
  }

  /** The request's new host session leads to the same session as the one before. */
  #carryOver(track: Track, context: RequestContext): void {
    this.over.add(track.id)
    track.unmark()
    Object.assign(context.session as object, { gradioState: { token: track.token } })
    this.#move(track, context.sessionID as string)
  }

  #move(track: Track, id: string): void {
    track.store.tracks.delete(track.id)
    this.#wheel.cancel(track)
    track.moveTo(id)
    track.store.tracks.set(id, track)
  }

  #remove(track: Track): void {
    this.#wheel.cancel(track)
    this.#byToken.delete(track.token)
    track.store.tracks.delete(track.id)
  }

  /** @param expires on the monotonic clock */
  #saved(track: Track, expires: number): void {
    track.isSaved = true
    track.expires = expires
    track.late = 0
    this.#seen(track)
  }

  /** The host session is there. */
  #seen(track: Track): void {
    const { now } = this.#manager.deadlines
    track.isLost = false
    track.seenAt = now
    track.askAt = this.#nextAsk(track, now)
    // What stands earlier in the wheel moves on when it is reached: to move it with each request would cost more.
    if (track.slot < 0 || track.askAt < track.due) this.#schedule(track, track.askAt)
  }

  #nextAsk(track: Track, now: number): number {
    const poll = now + jitter(Math.max(POLL, this.#byToken.size * SPACING))
    const { expires } = track
    // It lives on: somebody else has touched it, or the store is slow to forget.
    if (expires <= now) return Math.min(poll, now + GRAIN * 2 ** track.late++)
    return Math.min(poll, this.#isKeptAlive(track) ? now + (expires - now) / 2 : expires + MARGIN)
  }

  #isKeptAlive({ token }: Track): boolean {
    return this.#config.keepAlive && (this.#manager.find(token)?.pages ?? 0) > 0
  }

  #schedule(track: Track, at: number): void {
    this.#wheel.schedule(track, Math.max(at, track.store.resumeAt))
    this.#manager.deadlines.wake()
  }

  async #ask(track: Track): Promise<void> {
    const { deadlines } = this.#manager
    const { id, store } = track
    const askedAt = deadlines.now
    const isCurrent = () => track.id === id && this.#byToken.get(track.token) === track
    this.#asking++
    try {
      const found = await this.#inTime(store.store.find(id))
      store.outage.answered(deadlines.now)
      if (!isCurrent()) return
      if (found !== undefined) await this.#lives(track, found)
      // It may have been saved while the answer was on its way.
      else if (track.seenAt < askedAt) this.#lost(track)
      else this.#schedule(track, track.askAt)
    } catch (error) {
      store.outage.failed(error, deadlines.now)
      if (isCurrent()) this.#schedule(track, store.resumeAt)
    } finally {
      this.#asking--
      deadlines.wake()
    }
  }

  async #lives(track: Track, found: FoundSession): Promise<void> {
    // Many stores keep the deadline apart from what they give, so an earlier one says nothing.
    const expires = this.#onMonotonic(found.expires)
    if (expires !== Number.POSITIVE_INFINITY && expires > track.expires) this.#saved(track, expires)
    else this.#seen(track)
    if (!this.#isKeptAlive(track)) return
    await this.#inTime(found.touch())
    this.#manager.find(track.token)?.audience?.renew()
  }

  #lost(track: Track): void {
    const { now } = this.#manager.deadlines
    const { token, expires, seenAt } = track
    track.isLost = true
    const session = this.#manager.find(token)
    const since = seenAt <= expires && expires <= now ? expires : now
    if (session !== undefined) this.#manager.expire(session, now - since)
  }

  /** An answer that comes later than this is as good as none. */
  #inTime<T>(answer: Promise<T>): Promise<T> {
    const { deadlines } = this.#manager
    return new Promise((resolve, reject) => {
      const limit = new Deadline(() => reject(timedOut()))
      deadlines.schedule(limit, LONGEST_ANSWER)
      answer.then(resolve, reject).finally(() => deadlines.cancel(limit))
    })
  }

  #onMonotonic(wall: number | undefined): number {
    if (wall === undefined) return Number.POSITIVE_INFINITY
    return this.#manager.deadlines.now + wall - this.#config.clock.wall()
  }
}

function timedOut(): GradioStateError {
  return new GradioStateError(
    'STORE_TIMEOUT',
    `Expected the session store to answer within ${LONGEST_ANSWER / 1000} s, but it has not. Nothing is deleted for that; it is asked again.`,
  )
}

/** How often a session that shows no sign of life by itself is asked for, and how far apart such questions are at least. */
const POLL = 300_000
const SPACING = 10
/** How long after its deadline a session is asked for. */
const MARGIN = 50
/** Stores round up to whole seconds (Redis by connect-redis, the columns of SQL stores), so the next question comes after this. */
const GRAIN = 1_000
const PARALLEL = 16
const LONGEST_ANSWER = 10_000
