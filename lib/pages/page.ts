import { GradioStateError } from '../errors.js'
import type { Entry, PageHandle, Session } from '../sessions/session.js'
import type { Reason } from '../types.js'
import { Deadline, type Deadlines, type Due } from '../util/scheduler.js'
import { WheelNode } from '../util/timer-wheel.js'

/** What a page needs of its socket. */
export interface Connection {
  /** Closes the socket, and tells the browser why. A second call does nothing. */
  end(reason: Reason): void
  /** Asks the browser for a request, whose response renews the cookie of the framework session. */
  requestRenewal(): void
  /** Destroys the socket without a closing handshake. */
  terminate(): void
}

/** Where the pages of a session are. */
export interface PageOwner {
  /** The page has left, and needn't be remembered any more. */
  forget(page: Page): void
}

/** One loaded document in a browser, as this process knows it. */
export class Page implements PageHandle {
  readonly id: string
  /** The highest epoch that the page has sent. The client adds 1 each time the page returns from the back/forward cache. */
  epoch = 0
  /** The ticket that was issued last, until it is used. */
  ticket = ''
  readonly #session: Session
  readonly #owner: PageOwner
  readonly #deadline = new PageDeadline(this)
  #connection: Connection | undefined
  #entry: Entry | undefined
  /** Whether the page has said goodbye in its epoch. */
  #isGone = false
  /**
   * Until when the last beat counts. A beat that arrives while there is a socket means that the page has already lost that
   * socket, and that only its close is late.
   */
  #leasedUntil = 0

  constructor(id: string, session: Session, owner: PageOwner) {
    this.id = id
    this.#session = session
    this.#owner = owner
  }

  /** The token of its session. */
  get token(): string {
    return this.#session.token
  }

  get isOpen(): boolean {
    return this.#entry !== undefined
  }

  /** Set while the page has to wait for unload hooks. Never rejects. */
  get ready(): Promise<unknown> | undefined {
    return this.#entry?.ready
  }

  isOutdated(epoch: number | undefined): epoch is number {
    return epoch !== undefined && epoch < this.#leastEpoch
  }

  /** @throws GradioStateError `PAGE_GONE` for an outdated epoch */
  refuseOutdated(epoch: number | undefined): void {
    if (this.isOutdated(epoch)) throw gone(this.#leastEpoch, epoch)
  }

  /** @throws GradioStateError `PAGE_GONE` for an outdated epoch, and when the page has left */
  expectOpen(epoch: number | undefined): void {
    this.refuseOutdated(epoch)
    if (!this.isOpen) throw gone(this.epoch + 1, this.epoch)
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

  /** The page has sent a heartbeat. Without a socket, the next one has to come before the lease ends. */
  beat(epoch = this.epoch): void {
    if (epoch > this.epoch) {
      this.epoch = epoch
      // The document was in the back/forward cache, and its socket was lost there. A socket that was asked for before may
      // still arrive.
      this.ticket = ''
      this.#dropConnection()
    }
    this.#leasedUntil = this.#deadlines.now + LEASE
    if (this.#connection === undefined) this.#awaitBeat()
  }

  /** The page has opened a socket, which replaces the one that it had. */
  connect(connection: Connection): void {
    this.#session.noteReturn()
    this.#dropConnection()
    this.#connection = connection
    this.#leasedUntil = 0
    this.#deadlines.cancel(this.#deadline)
  }

  /** A socket has closed. Does nothing for one that was replaced. */
  disconnect(connection: Connection, isGoodbye: boolean): void {
    if (connection !== this.#connection) return
    this.#connection = undefined
    if (isGoodbye) this.leave({ isGone: true })
    else if (this.#leasedUntil > this.#deadlines.now) this.#awaitBeat()
    else this.leave({ abrupt: true })
  }

  /**
   * The page says goodbye to this process.
   * @returns whether it was held here; if not, another node may have to be told
   */
  goodbye(epoch: number | undefined): boolean {
    if (epoch !== undefined && epoch < this.epoch) return true
    const isHeldHere = this.isOpen && (epoch === undefined || epoch === this.epoch)
    const isKnownGone = this.isOutdated(epoch)
    // The goodbye may have overtaken the heartbeat of its epoch.
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
    this.#deadlines.schedule(this.#deadline, REMEMBERED)
    this.#dropConnection()
  }

  /**
   * The session has ended, or its framework session has expired: the page leaves, and is told why. It then reconnects, so after a
   * login or logout it is told only once the response has brought the browser its new cookie.
   */
  close(reason: Reason): void {
    const connection = this.#connection
    this.#connection = undefined
    this.leave()
    if (this.#session.ended !== undefined) this.#deadlines.cancel(this.#deadline)
    if (connection === undefined) return
    const end = () => connection.end(reason)
    if (reason === 'destroyed' || reason === 'regenerated') this.#afterAnswers(end)
    else end()
  }

  /** @returns whether the page has a socket to be asked by */
  renew(): boolean {
    this.#connection?.requestRenewal()
    return this.#connection !== undefined
  }

  /** The lease of an open page has ended, or one that has left needn't be remembered any more. */
  expire(): void {
    if (this.isOpen) this.leave()
    else this.#owner.forget(this)
  }

  get #deadlines(): Deadlines {
    return this.#session.deadlines
  }

  get #leastEpoch(): number {
    return this.#isGone ? this.epoch + 1 : this.epoch
  }

  #awaitBeat(): void {
    this.#deadlines.schedule(this.#deadline, this.#leasedUntil - this.#deadlines.now)
  }

  #dropConnection(): void {
    const connection = this.#connection
    // First, so that its close, which comes later, does nothing.
    this.#connection = undefined
    connection?.terminate()
  }

  /** Runs `task` when no request of the session is in flight, or after a time limit. May run it twice. */
  #afterAnswers(task: () => void): void {
    const limit = new Deadline(task)
    this.#deadlines.schedule(limit, MAX_ANSWER)
    this.#session.afterAnswers(() => {
      this.#deadlines.cancel(limit)
      task()
    })
  }
}

/** While the page is open but has no socket: the end of its lease. After it has left: when it is forgotten. */
class PageDeadline extends WheelNode implements Due {
  readonly #page: Page

  constructor(page: Page) {
    super()
    this.#page = page
  }

  run(): void {
    this.#page.expire()
  }
}

function gone(least: number, received: number): GradioStateError {
  return new GradioStateError(
    'PAGE_GONE',
    `Expected an epoch n of at least ${least}, got ${received}: the page has left.`,
  )
}

/** A page without a socket sends a beat every 20 s, but a hidden one only once a minute: browsers throttle its timers. */
const LEASE = 95_000
/** How long the pages of a session that has ended wait for its requests in flight. */
const MAX_ANSWER = 5_000
/** A late heartbeat of a page that has said goodbye is refused for this long. */
const REMEMBERED = 120_000
