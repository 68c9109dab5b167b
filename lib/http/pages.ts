import { randomBytes } from 'node:crypto'
import { Deadline } from '../core/deadlines.js'
import type { Manager } from '../core/manager.js'
import type { Session } from '../core/session.js'
import type { Visit } from '../core/visit.js'
import type { EndReason } from '../engines/engine.js'
import { GradioStateError, show } from '../errors.js'

/** One live socket of a page: a WebSocket or an event stream. */
export interface Connection {
  /** Whether a page has at most one of this kind: then a newer one takes the place of the older. */
  readonly isExclusive: boolean
  /** Tells the browser why, and closes. */
  close(reason: EndReason): void
  /** Has the page send a request that renews the host's cookie; `false` where it can't. */
  renew(): boolean
  /** Drops the socket without a word. */
  terminate(): void
}

/** What admits one socket to a page. */
export interface Ticket {
  readonly page: Page
  /** The origin of the page that was given the ticket. */
  readonly origin: string | undefined
}

/** The pages of all sessions, and what is known of those that have just left. */
export class Pages {
  readonly #manager: Manager
  readonly #bySession = new WeakMap<Session, Map<string, Page>>()
  readonly #tickets = new Map<string, Ticket>()

  constructor(manager: Manager) {
    this.#manager = manager
  }

  /**
   * A page says that it is open. Its epoch makes what is late harmless: after a goodbye only a higher one opens it.
   * @param session the session the page came with, if it lives
   * @param enter begins a visit of a page, and the session if need be
   * @throws GradioStateError `PAGE_GONE`, `PAGE_ID_INVALID`, `TOO_MANY_PAGES`
   */
  async open(
    id: string,
    epoch: number | undefined,
    session: Session | undefined,
    enter: () => Promise<Visit>,
  ): Promise<Page> {
    if (!/^[\w-]{1,64}$/.test(id)) throw idInvalid(id)
    const known = session && this.#bySession.get(session)?.get(id)
    known?.refuseOutdated(epoch)
    if (known === undefined) this.#checkRoom(session)
    let page = known
    if (!page?.isOpen) {
      const visit = await enter()
      page = this.#page(visit.session, id)
      // A twin of this request may have opened the page meanwhile, or its goodbye may have overtaken it.
      if (page.isOpen || page.isOutdated(epoch)) visit.leave()
      else page.enter(visit)
      page.refuseOutdated(epoch)
    }
    page.beat(epoch)
    await page.ready
    // It may have left, or its session ended, while it waited for hooks.
    page.refuseOutdated(epoch)
    if (!page.isOpen) throw gone(page.epoch + 1, page.epoch)
    return page
  }

  /** A page says goodbye. @throws GradioStateError `PAGE_UNKNOWN` when it is no page of this session */
  goodbye(session: Session | undefined, id: string, epoch: number | undefined): void {
    const page = session && this.#bySession.get(session)?.get(id)
    if (page === undefined) {
      throw new GradioStateError('PAGE_UNKNOWN', `Expected a page of this session, got ${show(id)}.`)
    }
    if (epoch !== undefined && epoch < page.epoch) return
    // It may have overtaken the heartbeat that it takes back.
    page.epoch = epoch ?? page.epoch
    page.leave({ isGone: true })
  }

  /** A ticket for one socket of the page; the one before it is void. */
  issueTicket(page: Page, origin: string | undefined): string {
    const ticket = randomBytes(16).toString('base64url')
    this.#tickets.delete(page.ticket)
    this.#tickets.set(ticket, { page, origin })
    page.ticket = ticket
    return ticket
  }

  /** What a ticket admits to. */
  findTicket(ticket: string): Ticket | undefined {
    return this.#tickets.get(ticket)
  }

  voidTicket(page: Page): void {
    this.#tickets.delete(page.ticket)
  }

  #page(session: Session, id: string): Page {
    let pages = this.#bySession.get(session)
    if (pages === undefined) {
      const map = new Map<string, Page>()
      pages = map
      this.#bySession.set(session, map)
      session.audience = {
        part(reason) {
          for (const page of map.values()) page.part(session, reason)
        },
        moved(page) {
          map.get(page)?.leave()
        },
        goodbye() {},
        // All pages of a browser have the same cookie.
        renew() {
          for (const page of map.values()) if (page.renew()) return
        },
      }
    }
    let page = pages.get(id)
    if (page === undefined) {
      page = new Page(
        id,
        this.#manager,
        () => this.voidTicket(page as Page),
        () => pages.delete(id),
      )
      pages.set(id, page)
    }
    return page
  }

  #checkRoom(session: Session | undefined): void {
    const pages = session && this.#bySession.get(session)
    if (pages === undefined || pages.size < MOST_PAGES) return
    throw new GradioStateError(
      'TOO_MANY_PAGES',
      `Expected at most ${MOST_PAGES} pages in a session, got one more.`,
    )
  }
}

/** One loaded document in a browser, as this process knows it. */
export class Page {
  readonly id: string
  /** The highest epoch that the page has told; it grows with each return from the back/forward cache. */
  epoch = 0
  ticket = ''
  readonly #manager: Manager
  readonly #closed: () => void
  readonly #connections = new Set<Connection>()
  /** While the page is open without a socket: until when a beat is awaited. Afterwards: how long it is remembered. */
  readonly #deadline: Deadline
  #visit: Visit | undefined
  #isGone = false
  /**
   * Until when the page counts by its last beat. One that comes while there is a socket says that this socket is lost to
   * the page already, and that its close is only late.
   */
  #leasedUntil = 0

  /**
   * @param closed called whenever the page leaves
   * @param forget called when a page that has left need not be remembered any more
   */
  constructor(id: string, manager: Manager, closed: () => void, forget: () => void) {
    this.id = id
    this.#manager = manager
    this.#closed = closed
    this.#deadline = new Deadline(() => (this.isOpen ? this.leave() : forget()))
  }

  get isOpen(): boolean {
    return this.#visit !== undefined
  }

  get isConnected(): boolean {
    return this.#connections.size > 0
  }

  get ready(): Promise<unknown> | undefined {
    return this.#visit?.ready
  }

  /** Whether that epoch is over. */
  isOutdated(epoch: number | undefined): epoch is number {
    return epoch !== undefined && epoch < this.#leastEpoch
  }

  /** @throws GradioStateError `PAGE_GONE` for an epoch that is over */
  refuseOutdated(epoch: number | undefined): void {
    if (this.isOutdated(epoch)) throw gone(this.#leastEpoch, epoch)
  }

  get #leastEpoch(): number {
    return this.#isGone ? this.epoch + 1 : this.epoch
  }

  enter(visit: Visit): void {
    this.#visit = visit
    this.#isGone = false
  }

  /** The page is alive: without a socket it has to say so again before the lease is over. */
  beat(epoch = this.epoch): void {
    if (epoch > this.epoch) {
      this.epoch = epoch
      // The document was away: the sockets it had before are no part of it any more.
      this.#dropConnections()
    }
    this.#leasedUntil = this.#manager.deadlines.now + BEAT_LEASE
    if (this.#connections.size === 0) this.#awaitBeat()
  }

  connect(connection: Connection): void {
    for (const older of this.#connections) {
      if (!connection.isExclusive || !older.isExclusive) continue
      // Taken out first: its late close must not hurt the page.
      this.#connections.delete(older)
      older.terminate()
    }
    this.#connections.add(connection)
    this.#leasedUntil = 0
    this.#manager.deadlines.cancel(this.#deadline)
  }

  /** A connection has closed; does nothing for one that was replaced. */
  disconnect(connection: Connection, isGoodbye: boolean): void {
    if (!this.#connections.delete(connection)) return
    if (isGoodbye) this.leave({ isGone: true })
    else if (this.#connections.size > 0) return
    else if (this.#leasedUntil > this.#manager.deadlines.now) this.#awaitBeat()
    else this.leave({ abrupt: true })
  }

  leave({ isGone = false, abrupt = false } = {}): void {
    this.#isGone ||= isGone
    if (this.#visit === undefined) return
    this.#visit.leave({ abrupt })
    this.#visit = undefined
    this.#closed()
    this.#manager.deadlines.schedule(this.#deadline, REMEMBERED)
    this.#dropConnections()
  }

  /**
   * The session has ended or its host session has expired, and the page is told why. It reconnects, so not before the
   * answer to a login or logout has brought the browser its new cookie: with the old one it would come as nobody.
   */
  part(session: Session, reason: EndReason): void {
    const { deadlines } = this.#manager
    const connections = [...this.#connections]
    this.#connections.clear()
    this.leave()
    if (session.ended !== undefined) deadlines.cancel(this.#deadline)
    const close = () => {
      deadlines.cancel(limit)
      for (const connection of connections.splice(0)) connection.close(reason)
    }
    const limit = new Deadline(close)
    if (connections.length === 0) return
    if (reason === 'destroyed' || reason === 'regenerated') {
      deadlines.schedule(limit, LONGEST_ANSWER)
      session.afterAnswers(close)
    } else {
      close()
    }
  }

  renew(): boolean {
    return [...this.#connections].some(connection => connection.renew())
  }

  #awaitBeat(): void {
    const { deadlines } = this.#manager
    deadlines.schedule(this.#deadline, this.#leasedUntil - deadlines.now)
  }

  /** Each is taken out first: its late close must not hurt the page. */
  #dropConnections(): void {
    for (const connection of this.#connections) {
      this.#connections.delete(connection)
      connection.terminate()
    }
  }
}

function gone(least: number, received: number): GradioStateError {
  return new GradioStateError(
    'PAGE_GONE',
    `Expected an epoch n of at least ${least}, got ${received}: the page has left.`,
  )
}

function idInvalid(id: string): GradioStateError {
  return new GradioStateError(
    'PAGE_ID_INVALID',
    `Expected a page id of 1 to 64 letters, digits, _ and -, got ${show(id)}.`,
  )
}

/** Beats come every 20 s, but in a hidden tab once a minute (Chromium's throttling of timers). */
const BEAT_LEASE = 95_000
/** How long the pages of a session that has ended wait for the requests that are in flight in it. */
const LONGEST_ANSWER = 5_000
/** A late heartbeat of a page that has said goodbye is refused this long. */
const REMEMBERED = 120_000
const MOST_PAGES = 1_000
