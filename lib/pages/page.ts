import { GradioStateError } from '../errors.js'
import type { PageHint } from '../sessions/coordinator.js'
import type { PageHandle, Session } from '../sessions/session.js'
import type { Entry } from '../sessions/session-entry.js'
import type { Reason } from '../types.js'
import { Deadline, type Deadlines, type Due } from '../util/scheduler.js'
import { WheelNode } from '../util/timer-wheel.js'

/** The socket of a page. */
export interface Connection {
  /** Closes the socket with the reason. A second call does nothing. */
  end(reason: Reason): void
  /** Asks the browser to send a request, whose response renews the cookie of the session. */
  requestRenewal(): void
  /** Destroys the socket without a closing handshake. */
  terminate(): void
}

/** How a page leaves. */
interface PageLeave {
  /** Whether it has said goodbye. */
  isGone?: boolean
  /** Whether its socket broke. */
  abrupt?: boolean
  hint?: PageHint
}

/** The collection that contains a page. */
export interface PageOwner {
  /** Removes a page that has left. */
  forget(page: Page): void
}

/** The local part of one page: a loaded document in a browser. */
export class Page implements PageHandle {
  readonly id: string
  /** The highest epoch that the page has sent. The client adds 1 each time the page returns from the back/forward cache. */
  epoch = 0
  /** The key of the scope of its tab; `undefined` for a page whose browser doesn't name its tab. */
  tab: string | undefined
  /** The last ticket that was issued; empty once it was used or revoked. */
  ticket = ''
  /** How often its cookie has to be renewed while it has a socket, in milliseconds. */
  renewalInterval = Number.POSITIVE_INFINITY
  /** Whether the page has said goodbye in its current epoch. */
  isGone = false
  readonly #session: Session
  readonly #owner: PageOwner
  readonly #deadline = new PageDeadline(this)
  #connection: Connection | undefined
  #entry: Entry | undefined
  /**
   * When the lease of the last heartbeat ends. A heartbeat that arrives while there is a socket means that the page has lost that socket
   * and the server hasn't detected it yet.
   */
  #leasedUntil = 0
  /** For a page without a socket: when it was last known to be open. */
  #seenAt = 0

  constructor(id: string, session: Session, owner: PageOwner) {
    this.id = id
    this.#session = session
    this.#owner = owner
  }

  /** The token of the page's session. */
  get token(): string {
    return this.#session.token
  }

  get isOpen(): boolean {
    return this.#entry !== undefined
  }

  /** Its entry in the session, while it is open. */
  get entry(): Entry | undefined {
    return this.#entry
  }

  /** Whether it has a socket. Without one, heartbeats keep it open. */
  get hasSocket(): boolean {
    return this.#connection !== undefined
  }

  /** See {@link Entry.whenReady}. */
  whenReady(): Promise<void> | undefined {
    return this.#entry?.whenReady()
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

  /** The page has entered its session. If two entries overlap, the later one stays. */
  enter(entry: Entry): void {
    const other = this.#entry
    if (other !== undefined && other.serial > entry.serial) {
      entry.leave()
      return
    }
    this.#entry = entry
    this.isGone = false
    if (other === undefined) this.#session.events.pageOpened(this.#session.id, this.id)
    else other.leave()
  }

  /** The page has sent a heartbeat. Without a socket, the next one has to arrive before the lease ends. */
  noteHeartbeat(epoch = this.epoch): void {
    if (epoch > this.epoch) {
      this.epoch = epoch
      // The document was in the back/forward cache, where it lost its socket. The upgrade request for the lost socket may still arrive.
      this.ticket = ''
      this.#dropConnection()
    }
    this.#seenAt = this.#deadlines.now
    this.#leasedUntil = this.#seenAt + LEASE
    if (this.#connection === undefined) this.#awaitHeartbeat()
  }

  /** The page has opened a socket, which replaces its earlier one. */
  connect(connection: Connection): void {
    this.#session.noteReturn()
    this.#dropConnection()
    this.#connection = connection
    this.#leasedUntil = 0
    this.#scheduleRenewal()
  }

  /** A socket has closed. Does nothing for one that was replaced. */
  disconnect(connection: Connection, isGoodbye: boolean, hint?: PageHint): void {
    if (connection !== this.#connection) return
    this.#connection = undefined
    this.#seenAt = this.#deadlines.now
    if (isGoodbye) this.leave({ isGone: true, hint })
    else if (this.#leasedUntil > this.#deadlines.now) this.#awaitHeartbeat()
    else this.leave({ abrupt: true })
  }

  /**
   * The page says goodbye to this process.
   * @returns whether the page was open here; if not, another node may have it
   */
  goodbye(epoch: number | undefined, hint: PageHint): boolean {
    if (epoch !== undefined && epoch < this.epoch) return true
    const wasOpen = this.isOpen && (epoch === undefined || epoch === this.epoch)
    const isKnownGone = this.isOutdated(epoch)
    // The goodbye may have arrived before the heartbeat of its epoch.
    this.epoch = epoch ?? this.epoch
    this.#seenAt = this.#deadlines.now
    this.leave({ isGone: true, hint })
    return wasOpen || isKnownGone
  }

  leave({ isGone = false, abrupt = false, hint }: PageLeave = {}): void {
    this.isGone ||= isGone
    if (this.#entry === undefined) return
    const seenAt = this.#connection === undefined ? this.#seenAt : this.#deadlines.now
    this.#entry.leave({ abrupt, reloads: hint === 'within', seenAt })
    this.#entry = undefined
    this.ticket = ''
    this.#deadlines.schedule(this.#deadline, RETENTION)
    this.#dropConnection()
    this.#session.events.pageClosed(this.#session.id, this.id)
  }

  /**
   * The session has ended, or its framework session has expired: the page leaves, and its socket is closed with the reason. The client
   * then reconnects, so after a login or logout the socket stays open until the response has set the new cookie.
   */
  close(reason: Reason): void {
    const connection = this.#connection
    if (connection !== undefined) this.#seenAt = this.#deadlines.now
    this.#connection = undefined
    this.leave()
    if (this.#session.ended !== undefined) this.#deadlines.cancel(this.#deadline)
    if (connection === undefined) return
    const end = () => connection.end(reason)
    if (reason === 'destroyed' || reason === 'regenerated') this.#afterResponses(end)
    else end()
  }

  /** Asks the page, through its socket, to renew the cookie. @returns whether it has a socket */
  renew(): boolean {
    this.#connection?.requestRenewal()
    return this.#connection !== undefined
  }

  /** The {@link PageDeadline} is due. */
  expire(): void {
    if (this.renew()) this.#scheduleRenewal()
    else if (this.isOpen) this.leave()
    else this.forget()
  }

  /** Drops the record of a page that has left. */
  forget(): void {
    this.#deadlines.cancel(this.#deadline)
    this.#owner.forget(this)
  }

  get #deadlines(): Deadlines {
    return this.#session.deadlines
  }

  get #leastEpoch(): number {
    return this.isGone ? this.epoch + 1 : this.epoch
  }

  #scheduleRenewal(): void {
    if (this.renewalInterval === Number.POSITIVE_INFINITY) this.#deadlines.cancel(this.#deadline)
    else this.#deadlines.schedule(this.#deadline, this.renewalInterval)
  }

  #awaitHeartbeat(): void {
    this.#deadlines.schedule(this.#deadline, this.#leasedUntil - this.#deadlines.now)
  }

  #dropConnection(): void {
    const connection = this.#connection
    // Cleared first, so that the socket's `close` event is ignored.
    this.#connection = undefined
    connection?.terminate()
  }

  /** Runs `task` when no request of the session is in flight, or after a time limit. May run it twice. */
  #afterResponses(task: () => void): void {
    const limit = new Deadline(task)
    this.#deadlines.schedule(limit, MAX_RESPONSE_WAIT)
    this.#session.afterResponses(() => {
      this.#deadlines.cancel(limit)
      task()
    })
  }
}

/** With a socket: when the cookie has to be renewed. Without one: the end of the lease. For a page that has left: when its record is dropped. */
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

/** A page without a socket sends a heartbeat every 20 s, but a hidden one only once a minute: browsers throttle its timers. */
export const LEASE = 95_000
/** How long the sockets of an ended session stay open while its requests are in flight. */
const MAX_RESPONSE_WAIT = 5_000
/** How long the record of a page that has left is kept, so that a heartbeat that arrives after its goodbye doesn't open it again. */
const RETENTION = 120_000
