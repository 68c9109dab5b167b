import type { Clock } from '../clock.js'
import { Deadline } from '../core/deadlines.js'
import type { Manager } from '../core/manager.js'
import type { Audience, Session } from '../core/session.js'
import type { Visit } from '../core/visit.js'
import type { EndReason, MaybePromise } from '../engines/engine.js'
import { GradioStateError, show } from '../errors.js'
import { hashOrigin, type Ticket, Tickets } from './tickets.js'

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

/** The pages of all sessions, and what is known of those that have just left. */
export class Pages {
  readonly #manager: Manager
  readonly #bySession = new WeakMap<Session, Map<string, Page>>()
  readonly #tickets: Tickets

  constructor(manager: Manager, clock: Clock) {
    this.#manager = manager
    this.#tickets = new Tickets(() => manager.secret, clock)
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
    const known = this.#find(session, id)
    known?.refuseOutdated(epoch)
    if (known === undefined) this.#checkRoom(session)
    let page = known
    if (page?.isOpen && this.#manager.isShared) page = await this.#confirm(page, epoch)
    if (!page?.isOpen) page = this.#entered(await enter(), id, epoch)
    page.beat(epoch)
    await page.ready
    // It may have left, or its session ended, while it waited for hooks.
    page.refuseOutdated(epoch)
    if (!page.isOpen) throw gone(page.epoch + 1, page.epoch)
    return page
  }

  /**
   * A page says goodbye here.
   * @returns whether that is all: else another node may have to be told
   */
  goodbye(session: Session | undefined, id: string, epoch: number | undefined): boolean {
    const page = this.#find(session, id)
    if (page === undefined) return false
    if (epoch !== undefined && epoch < page.epoch) return true
    const isHeldHere = page.isOpen && (epoch === undefined || epoch === page.epoch)
    const isKnownGone = page.isOutdated(epoch)
    // It may have overtaken the heartbeat that it takes back.
    page.epoch = epoch ?? page.epoch
    page.leave({ isGone: true })
    return isHeldHere || isKnownGone
  }

  /** Whether that page of the session was here lately. */
  knows(session: Session | undefined, id: string): boolean {
    return this.#find(session, id) !== undefined
  }

  /** A ticket for one socket of the page; the one before it is void. */
  issueTicket(page: Page, origin: string | undefined): string {
    const { id, token, epoch } = page
    page.ticket = this.#tickets.seal({ token, page: id, epoch, origin: origin && hashOrigin(origin) })
    return page.ticket
  }

  /**
   * What a ticket admits to, if it is good: where its page is, the newest that was given out there; elsewhere, that of
   * another node.
   */
  findTicket(sealed: string): Ticket | undefined {
    const ticket = this.#tickets.open(sealed)
    if (ticket === undefined) return undefined
    const page = this.#find(this.#manager.find(ticket.token), ticket.page)
    if (page?.isOpen) return page.ticket === sealed ? ticket : undefined
    if (!this.#manager.isShared || ticket.isOwn || page?.isOutdated(ticket.epoch)) return undefined
    return ticket
  }

  /**
   * Uses up a ticket that was just found. Gives its page, which is opened if another node had it until now.
   * @throws GradioStateError `PAGE_UNKNOWN`, and what {@link open} throws
   */
  admit(sealed: string, { token, page: id, epoch }: Ticket): MaybePromise<Page> {
    const session = this.#manager.find(token)
    const page = this.#find(session, id)
    if (page?.isOpen) {
      page.ticket = ''
      return page
    }
    if (!this.#tickets.spend(sealed)) throw unknown(id)
    return this.open(id, epoch, session, async () => {
      const visit = await this.#manager.enter(token, { kind: 'page', page: id })
      if (visit === undefined) throw unknown(id)
      return visit
    })
  }

  /**
   * A page that is open here is heard of again. Meanwhile it may have been at another node, which held it since; so the
   * engine is told anew.
   */
  async #confirm(page: Page, epoch: number | undefined): Promise<Page | undefined> {
    // Before the wait, which may fail: the close of a socket that the page has lost already would count as its leaving.
    page.beat(epoch)
    const visit = await this.#manager.enter(page.token, { kind: 'page', page: page.id })
    return visit && this.#entered(visit, page.id, epoch)
  }

  /** A visit of the page has begun. */
  #entered(visit: Visit, id: string, epoch: number | undefined): Page {
    const page = this.#page(visit.session, id)
    // Its goodbye may have overtaken it.
    if (!page.isOpen && page.isOutdated(epoch)) visit.leave()
    else page.enter(visit)
    page.refuseOutdated(epoch)
    return page
  }

  #find(session: Session | undefined, id: string): Page | undefined {
    return session && this.#bySession.get(session)?.get(id)
  }

  #page(session: Session, id: string): Page {
    let pages = this.#bySession.get(session)
    if (pages === undefined) {
      pages = new Map()
      this.#bySession.set(session, pages)
      session.audience = this.#audience(session, pages)
    }
    const page = pages.get(id) ?? new Page(id, session.token, this.#manager, () => pages.delete(id))
    pages.set(id, page)
    return page
  }

  #audience(session: Session, pages: ReadonlyMap<string, Page>): Audience {
    return {
      part(reason) {
        for (const page of pages.values()) page.part(session, reason)
      },
      // The engine knows of no visit here any more, so that this one's end does nothing there.
      moved: id => pages.get(id)?.leave(),
      goodbye: (id, epoch) => void this.goodbye(session, id, epoch),
      // All pages of a browser have the same cookie.
      renew() {
        for (const page of pages.values()) if (page.renew()) return
      },
    }
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
  /** Its session's. */
  readonly token: string
  /** The highest epoch that the page has told; it grows with each return from the back/forward cache. */
  epoch = 0
  /** The newest, until it is used. */
  ticket = ''
  readonly #manager: Manager
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

  /** @param forget called when a page that has left need not be remembered any more */
  constructor(id: string, token: string, manager: Manager, forget: () => void) {
    this.id = id
    this.token = token
    this.#manager = manager
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

  /** A visit has begun. Of two, the engine knows only the one that began last. */
  enter(visit: Visit): void {
    const other = this.#visit
    if (other !== undefined && other.serial > visit.serial) {
      visit.leave()
      return
    }
    this.#visit = visit
    this.#isGone = false
    other?.leave()
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
    this.ticket = ''
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

export function unknown(id: string): GradioStateError {
  return new GradioStateError('PAGE_UNKNOWN', `Expected a page of this session, got ${show(id)}.`)
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
