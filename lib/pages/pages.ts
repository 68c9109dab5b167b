import { GradioStateError, show } from '../errors.js'
import type { Entry, Session } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Clock } from '../util/clock.js'
import { type Page, pagesOf } from './page.js'
import { checkRoom, takePage } from './session-pages.js'
import { hashOrigin, type Ticket, Tickets } from './tickets.js'

/** The pages of all sessions, and what is known of those that have just left. */
export class Pages {
  readonly #manager: Sessions
  readonly #tickets: Tickets

  constructor(manager: Sessions, clock: Clock) {
    this.#manager = manager
    this.#tickets = new Tickets(() => manager.secret, clock)
  }

  /**
   * A page says that it is open. Its epoch makes what is late harmless: after a goodbye only a higher one opens it.
   * @param session the session the page came with, if it lives
   * @param enter lets the page enter its session, which is begun if need be
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
    if (known === undefined) checkRoom(session)
    let page = known
    if (page?.isOpen && this.#manager.isShared) page = await this.#confirm(page, epoch)
    if (!page?.isOpen) page = this.#entered(await enter(), id, epoch)
    page.beat(epoch)
    await page.ready
    // It may have left, or its session ended, while it waited for hooks.
    page.expectOpen(epoch)
    return page
  }

  /**
   * A page says goodbye here.
   * @returns whether that is all: else another node may have to be told
   */
  goodbye(session: Session | undefined, id: string, epoch: number | undefined): boolean {
    return this.#find(session, id)?.goodbye(epoch) ?? false
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

  /** Uses up a ticket that was just found, and gives its page if that is open here. */
  useTicket({ token, page: id }: Ticket): Page | undefined {
    const page = this.#find(this.#manager.find(token), id)
    if (!page?.isOpen) return undefined
    page.ticket = ''
    return page
  }

  /**
   * Uses up a ticket that was just found, and opens its page, which another node has had until now.
   * @throws GradioStateError `PAGE_UNKNOWN`, and what {@link open} throws
   */
  async takeOver(sealed: string, { token, page: id, epoch }: Ticket): Promise<Page> {
    if (!this.#tickets.spend(sealed)) throw unknown(id)
    return this.open(id, epoch, this.#manager.find(token), async () => {
      const { cluster } = this.#manager
      const entry = await (cluster ?? this.#manager).enter(token, { kind: 'page', page: id })
      if (entry === undefined) throw unknown(id)
      return entry
    })
  }

  /**
   * A page that is open here is heard of again. Meanwhile it may have been at another node, which held it since; so the
   * engine is told anew.
   */
  async #confirm(page: Page, epoch: number | undefined): Promise<Page | undefined> {
    // Before the wait, which may fail: the close of a socket that the page has lost already would count as its leaving.
    page.beat(epoch)
    const { cluster } = this.#manager
    const entry = await (cluster ?? this.#manager).enter(page.token, { kind: 'page', page: page.id })
    return entry && this.#entered(entry, page.id, epoch)
  }

  /** The page has entered its session. */
  #entered(entry: Entry, id: string, epoch: number | undefined): Page {
    const page = takePage(entry.session, id)
    // Its goodbye may have overtaken it.
    if (!page.isOpen && page.isOutdated(epoch)) entry.leave()
    else page.enter(entry)
    page.refuseOutdated(epoch)
    return page
  }

  #find(session: Session | undefined, id: string): Page | undefined {
    return pagesOf(session)?.find(id)
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
