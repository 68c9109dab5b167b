import { GradioStateError } from '../errors.js'
import type { EndReason } from '../sessions/engine.js'
import type { Audience, Entry, Listener, Session } from '../sessions/session.js'
import { Deadline, type Deadlines, type Due } from '../util/scheduler.js'
import { all, type Few, includes, including, without } from '../util/small-set.js'
import { WheelNode } from '../util/timer-wheel.js'
import type { Connection } from './connection.js'

/** Pages of one session. */
export interface PageSet extends Audience {
  find(id: string): Page | undefined
  /** What is left when that page has left, and need not be remembered any more. */
  without(page: Page): PageSet | undefined
}

/**
 * One loaded document in a browser, as this process knows it; also all pages of a session that has no other. Its methods are
 * private to the compiler alone, for the reason told at {@link Session}.
 */
export class Page extends WheelNode implements Due, PageSet, Listener {
  readonly id: string
  /** The highest epoch that the page has told; it grows with each return from the back/forward cache. */
  epoch = 0
  /** The newest, until it is used. */
  ticket = ''
  readonly #session: Session
  #connections: Few<Connection> = undefined
  #entry: Entry | undefined
  #isGone = false
  /**
   * Until when the page counts by its last beat. One that comes while there is a socket says that this socket is lost to
   * the page already, and that its close is only late.
   */
  #leasedUntil = 0

  constructor(id: string, session: Session) {
    super()
    this.id = id
    this.#session = session
  }

  /** Its session's. */
  get token(): string {
    return this.#session.token
  }

  get isOpen(): boolean {
    return this.#entry !== undefined
  }

  get isConnected(): boolean {
    return this.#connections !== undefined
  }

  get ready(): Promise<unknown> | undefined {
    return this.#entry?.ready
  }

  /** Whether that epoch is over. */
  isOutdated(epoch: number | undefined): epoch is number {
    return epoch !== undefined && epoch < this.leastEpoch
  }

  /** @throws GradioStateError `PAGE_GONE` for an epoch that is over */
  refuseOutdated(epoch: number | undefined): void {
    if (this.isOutdated(epoch)) throw gone(this.leastEpoch, epoch)
  }

  /** @throws GradioStateError `PAGE_GONE` for an epoch that is over, and when the page has left */
  expectOpen(epoch: number | undefined): void {
    this.refuseOutdated(epoch)
    if (!this.isOpen) throw gone(this.epoch + 1, this.epoch)
  }

  private get leastEpoch(): number {
    return this.#isGone ? this.epoch + 1 : this.epoch
  }

  /** While the page is connected, beats to it are due; while it is not, one of its own; after it has left, its being forgotten. */
  run(): void {
    if (this.isConnected) this.beatAll()
    else if (this.isOpen) this.leave()
    else this.#session.audience = pagesOf(this.#session)?.without(this)
  }

  find(id: string): Page | undefined {
    return id === this.id ? this : undefined
  }

  without(page: Page): PageSet | undefined {
    return page === this ? undefined : this
  }

  /** The page has entered its session. Of two entries the one that began last counts. */
  enter(entry: Entry): void {
    const other = this.#entry
    if (other !== undefined && other.serial > entry.serial) {
      entry.leave()
      return
    }
    this.#entry = entry
    this.#isGone = false
    other?.leave()
  }

  /** The page is alive: without a socket it has to say so again before the lease is over. */
  beat(epoch = this.epoch): void {
    if (epoch > this.epoch) {
      this.epoch = epoch
      // The document was away: the sockets it had before are no part of it any more.
      this.dropConnections()
    }
    // A whole number takes no object of its own in V8.
    this.#leasedUntil = Math.ceil(this.deadlines.now + BEAT_LEASE)
    if (!this.isConnected) this.awaitBeat()
  }

  connect(connection: Connection): void {
    this.#session.noteReturn()
    for (const older of all(this.#connections)) {
      if (!connection.isExclusive || !older.isExclusive) continue
      // Taken out first: its late close must not hurt the page.
      this.#connections = without(this.#connections, older)
      older.terminate()
    }
    // Of several, all are told at the times of the first.
    if (!this.isConnected) connection.beats.schedule(this)
    this.#connections = including(this.#connections, connection)
    this.#leasedUntil = 0
  }

  /** A connection has closed; does nothing for one that was replaced. */
  disconnect(connection: Connection, isGoodbye: boolean): void {
    if (!includes(this.#connections, connection)) return
    this.#connections = without(this.#connections, connection)
    if (isGoodbye) this.leave({ isGone: true })
    else if (this.isConnected) return
    else if (this.#leasedUntil > this.deadlines.now) this.awaitBeat()
    else this.leave({ abrupt: true })
  }

  /**
   * The page says goodbye here.
   * @returns whether that is all: else another node may have to be told
   */
  goodbye(epoch: number | undefined): boolean {
    if (epoch !== undefined && epoch < this.epoch) return true
    const isHeldHere = this.isOpen && (epoch === undefined || epoch === this.epoch)
    const isKnownGone = this.isOutdated(epoch)
    // It may have overtaken the heartbeat that it takes back.
    this.epoch = epoch ?? this.epoch
    this.leave({ isGone: true })
    return isHeldHere || isKnownGone
  }

  leave({ isGone = false, abrupt = false } = {}): void {
    this.#isGone ||= isGone
    if (this.#entry === undefined) return
    this.#entry.leave({ abrupt })
    this.#entry = undefined
    this.ticket = ''
    this.deadlines.schedule(this, REMEMBERED)
    this.dropConnections()
  }

  /**
   * The session has ended or its host session has expired, and the page is told why. It reconnects, so not before the
   * answer to a login or logout has brought the browser its new cookie: with the old one it would come as nobody.
   */
  part(reason: EndReason): void {
    const session = this.#session
    const connections = [...all(this.#connections)]
    this.#connections = undefined
    this.leave()
    if (session.ended !== undefined) this.deadlines.cancel(this)
    if (connections.length === 0) return
    const close = () => {
      for (const connection of connections.splice(0)) connection.close(reason)
    }
    if (reason === 'destroyed' || reason === 'regenerated') this.afterAnswers(close)
    else close()
  }

  renew(): boolean {
    return [...all(this.#connections)].some(connection => connection.renew())
  }

  private get deadlines(): Deadlines {
    return this.#session.deadlines
  }

  /** Runs `task` when no request of the session is in flight, but waits for that no longer than a while. */
  private afterAnswers(task: () => void): void {
    const limit = new Deadline(task)
    this.deadlines.schedule(limit, LONGEST_ANSWER)
    this.#session.afterAnswers(() => {
      this.deadlines.cancel(limit)
      task()
    })
  }

  private beatAll(): void {
    for (const connection of all(this.#connections)) {
      connection.beats.schedule(this)
      connection.beat()
    }
  }

  private awaitBeat(): void {
    this.deadlines.schedule(this, this.#leasedUntil - this.deadlines.now)
  }

  private dropConnections(): void {
    const connections = all(this.#connections)
    // Before the closes: they are late, and must not hurt the page.
    this.#connections = undefined
    for (const connection of connections) connection.terminate()
  }
}

/** Those of a session, if it ever had one. */
export function pagesOf(session: Session | undefined): PageSet | undefined {
  return session?.audience as PageSet | undefined
}

function gone(least: number, received: number): GradioStateError {
  return new GradioStateError(
    'PAGE_GONE',
    `Expected an epoch n of at least ${least}, got ${received}: the page has left.`,
  )
}

/** Beats come every 20 s, but in a hidden tab once a minute (Chromium's throttling of timers). */
const BEAT_LEASE = 95_000
/** How long the pages of a session that has ended wait for the requests that are in flight in it. */
const LONGEST_ANSWER = 5_000
/** A late heartbeat of a page that has said goodbye is refused this long. */
const REMEMBERED = 120_000
