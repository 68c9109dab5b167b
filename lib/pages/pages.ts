import { GradioStateError, show } from '../errors.js'
import type { Entry, Session } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Clock } from '../util/clock.js'
import type { Page } from './page.js'
import { SessionPages } from './session-pages.js'
import { type Ticket, Tickets } from './tickets.js'

/** Opens and closes the pages of all sessions, and issues the tickets for their sockets. */
export class Pages {
  readonly #sessions: Sessions
  readonly #tickets: Tickets

  constructor(sessions: Sessions, clock: Clock) {
    this.#sessions = sessions
    this.#tickets = new Tickets(() => sessions.secret, clock)
  }

  /**
   * A page has sent a heartbeat. After a goodbye only a higher epoch opens it again, so a late heartbeat does nothing.
   * @param session the session that the request came with, if there is one
   * @param enter enters the page's session, and begins it if there is none
   * @throws GradioStateError `PAGE_GONE`, `PAGE_ID_INVALID`, `TOO_MANY_PAGES`
   */
  async open(
    id: string,
    epoch: number | undefined,
    session: Session | undefined,
    enter: () => Promise<Entry>,
  ): Promise<Page> {
    if (!/^[\w-]{1,64}$/.test(id)) throw idInvalid(id)
    const known = this.#find(session, id)
    known?.refuseOutdated(epoch)
    if (known === undefined) SessionPages.of(session)?.expectRoom()
    let page = known
    if (page?.isOpen && this.#sessions.isShared) page = await this.#confirm(page, epoch)
    if (!page?.isOpen) page = this.#entered(await enter(), id, epoch)
    page.beat(epoch)
    await page.ready
    // It may have left, or its session may have ended, while it waited for hooks.
    page.expectOpen(epoch)
    return page
  }

  /**
   * A page says goodbye to this process.
   * @returns whether it was held here; if not, another node may have to be told
   */
  goodbye(session: Session | undefined, id: string, epoch: number | undefined): boolean {
    return this.#find(session, id)?.goodbye(epoch) ?? false
  }

  /** Whether the session has that page, or had it until recently. */
  knows(session: Session | undefined, id: string): boolean {
    return this.#find(session, id) !== undefined
  }

  /** Issues a ticket for one socket of the page. The one before it becomes invalid. */
  issueTicket(page: Page): string {
    const { id, token, epoch } = page
    page.ticket = this.#tickets.seal({ token, page: id, epoch })
    return page.ticket
  }

  /**
   * Reads a ticket; `undefined` if it is invalid. The node that has the page accepts the last ticket it issued. A node that
   * doesn't have the page accepts those of other nodes.
   */
  findTicket(sealed: string): Ticket | undefined {
    const ticket = this.#tickets.open(sealed)
    if (ticket === undefined) return undefined
    const page = this.#find(this.#sessions.find(ticket.token), ticket.page)
    if (page?.isOpen) return page.ticket === sealed ? ticket : undefined
    if (!this.#sessions.isShared || ticket.isOwn || page?.isOutdated(ticket.epoch)) return undefined
    return ticket
  }

  /** Uses up a ticket that {@link findTicket} has read. @returns its page, if it is open here */
  useTicket({ token, page: id }: Ticket): Page | undefined {
    const page = this.#find(this.#sessions.find(token), id)
    if (!page?.isOpen) return undefined
    page.ticket = ''
    return page
  }

  /**
   * Uses up a ticket that {@link findTicket} has read, and opens its page, which another node has had until now.
   * @throws GradioStateError `PAGE_UNKNOWN`, and what {@link open} throws
   */
  async takeOver(sealed: string, { token, page: id, epoch }: Ticket): Promise<Page> {
    if (!this.#tickets.spend(sealed)) throw unknown(id)
    return this.open(id, epoch, this.#sessions.find(token), async () => {
      const { cluster } = this.#sessions
      const entry = await (cluster ?? this.#sessions).enter(token, { kind: 'page', page: id })
      if (entry === undefined) throw unknown(id)
      return entry
    })
  }

  /** Enters the session again for a page that is open here: since its last heartbeat it may have moved to another node. */
  async #confirm(page: Page, epoch: number | undefined): Promise<Page | undefined> {
    // Before the wait, during which the page's lost socket may close: without the beat the page would leave.
    page.beat(epoch)
    const { cluster } = this.#sessions
    const entry = await (cluster ?? this.#sessions).enter(page.token, { kind: 'page', page: page.id })
    return entry && this.#entered(entry, page.id, epoch)
  }

  /** The page has entered its session. */
  #entered(entry: Entry, id: string, epoch: number | undefined): Page {
    const page = SessionPages.take(entry.session, id)
    // The goodbye may have overtaken this heartbeat.
    if (!page.isOpen && page.isOutdated(epoch)) entry.leave()
    else page.enter(entry)
    page.refuseOutdated(epoch)
    return page
  }

  #find(session: Session | undefined, id: string): Page | undefined {
    return SessionPages.of(session)?.find(id)
  }
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
