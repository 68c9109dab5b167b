import { GradioStateError, show } from '../errors.js'
import type { PageHint } from '../sessions/coordinator.js'
import { enterScope, findScope } from '../sessions/scope-entry.js'
import type { Session } from '../sessions/session.js'
import type { Entry } from '../sessions/session-entry.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Clock } from '../util/clock.js'
import { detachString } from '../util/detach-string.js'
import { ForeignTickets } from './foreign-tickets.js'
import { LEASE, type Page } from './page.js'
import { SessionPages } from './session-pages.js'
import { type Ticket, Tickets } from './tickets.js'

/** What pages need to know about the tokens of their sessions. */
interface PageIdentity {
  /** How often a page with that token has to renew its cookie, in milliseconds. */
  renewalInterval(token: string): number
  readonly warnOfSeveralProcesses: () => void
}

/** Opens and closes the pages of all sessions, and issues the tickets for their sockets. */
export class Pages {
  readonly #sessions: Sessions
  readonly #tickets: Tickets
  readonly #identity: PageIdentity
  /** Without a cluster. */
  readonly #foreignTickets: ForeignTickets | undefined

  constructor(sessions: Sessions, clock: Clock, identity: PageIdentity) {
    this.#sessions = sessions
    this.#identity = identity
    this.#foreignTickets = sessions.isShared ? undefined : new ForeignTickets(identity.warnOfSeveralProcesses)
    this.#tickets = new Tickets(() => sessions.secret, clock)
  }

  /**
   * A page has sent a heartbeat. After a goodbye, only a higher epoch opens the page again, so a late heartbeat does nothing.
   * @param session the session of the request, if there is one
   * @param enter enters the page's session, and starts one if there is none
   * @param tab see {@link Page.tab}
   * @throws GradioStateError `PAGE_GONE`, `PAGE_ID_INVALID`, `TOO_MANY_PAGES`, `TOO_MANY_WAITING`
   */
  async open(
    id: string,
    epoch: number | undefined,
    session: Session | undefined,
    enter: () => Promise<Entry>,
    tab?: string,
  ): Promise<Page> {
    if (!/^[\w-]{1,64}$/.test(id)) throw pageIdInvalid(id)
    const known = this.#find(session, id)
    known?.refuseOutdated(epoch)
    if (known === undefined) SessionPages.of(session)?.makeRoom()
    let page = known
    if (page?.isOpen && this.#sessions.isShared) page = await this.#reenter(page, epoch, tab)
    if (!page?.isOpen) page = this.#addEntry(await enter(), id, epoch, tab)
    page.noteHeartbeat(epoch)
    await page.whenReady()
    // While it waited for hooks, it may have left or its session may have ended.
    page.expectOpen(epoch)
    return page
  }

  /**
   * A page says goodbye to this process.
   * @returns whether the page was open here; if not, another node may have it
   */
  goodbye(session: Session | undefined, id: string, epoch: number | undefined, hint: PageHint): boolean {
    return this.#find(session, id)?.goodbye(epoch, hint) ?? false
  }

  /**
   * A heartbeat of the page contained the ticket that the page received last. If that is a ticket of another session, the page has
   * moved without a socket on which it could have said goodbye there, so it leaves that session now.
   */
  async leaveFormer(page: Page, sealed: string): Promise<void> {
    const former = this.#tickets.open(sealed, LEASE)
    if (former === undefined || former.token === page.token) return
    if (this.goodbye(this.#sessions.find(former.token), page.id, former.epoch, undefined)) return
    await this.#sessions.cluster?.goodbye(former.token, page.id, former.epoch, undefined)
  }

  /** Whether the session has that page, or had it until recently. */
  knows(session: Session | undefined, id: string): boolean {
    return this.#find(session, id) !== undefined
  }

  /** Issues a ticket for one socket of the page. The page's earlier ticket becomes invalid. */
  issueTicket(page: Page): string {
    const { id, token, epoch, tab } = page
    page.ticket = this.#tickets.seal({ token, page: id, epoch, tab })
    const issuedAt = this.#tickets.issuedAt(page.ticket)
    if (issuedAt !== undefined) this.#foreignTickets?.noteOwn(issuedAt)
    return page.ticket
  }

  /** A socket was refused, since {@link findTicket} has found nothing. */
  noteRefused(sealed: string): void {
    const issuedAt = this.#tickets.issuedAt(sealed)
    if (issuedAt === undefined || this.#tickets.open(sealed) !== undefined) return
    this.#foreignTickets?.noteForeign(issuedAt)
  }

  /**
   * Decrypts a ticket; `undefined` if it is invalid. The node that has the page accepts only the last ticket that it issued. A node that
   * doesn't have the page accepts tickets of other nodes.
   */
  findTicket(sealed: string): Ticket | undefined {
    const ticket = this.#tickets.open(sealed)
    if (ticket === undefined) return undefined
    const page = this.#find(this.#sessions.find(ticket.token), ticket.page)
    if (page?.isOpen) return page.ticket === sealed ? ticket : undefined
    if (!this.#sessions.isShared || ticket.isOwn || page?.isOutdated(ticket.epoch)) return undefined
    return ticket
  }

  /** Uses up a ticket that {@link findTicket} has returned. @returns its page, if it is open here */
  useTicket({ token, page: id }: Ticket): Page | undefined {
    const page = this.#find(this.#sessions.find(token), id)
    if (!page?.isOpen) return undefined
    page.ticket = ''
    return page
  }

  /**
   * Uses up a ticket that {@link findTicket} has returned, and moves its page from another node to this one.
   * @throws GradioStateError `PAGE_UNKNOWN`, and the errors of {@link open}
   */
  async takeOver(sealed: string, { token, page: id, epoch, tab }: Ticket): Promise<Page> {
    if (!this.#tickets.markUsed(sealed)) throw pageUnknown(id)
    const enter = async () => {
      const { cluster } = this.#sessions
      const entry = await (cluster ?? this.#sessions).enter(token, { kind: 'page', page: id })
      if (entry === undefined) throw pageUnknown(id)
      return entry
    }
    return this.open(id, epoch, this.#sessions.find(token), enter, tab)
  }

  /** Enters the session again for a page that is open here: it may have moved to another node since its last heartbeat. */
  async #reenter(page: Page, epoch: number | undefined, tab: string | undefined): Promise<Page | undefined> {
    // Before the wait: if the socket closes during it, the page stays because of this heartbeat.
    page.noteHeartbeat(epoch)
    const { cluster } = this.#sessions
    const entry = await (cluster ?? this.#sessions).enter(page.token, { kind: 'page', page: page.id })
    return entry && this.#addEntry(entry, page.id, epoch, tab)
  }

  /** Adds the entry to its page. */
  #addEntry(entry: Entry, id: string, epoch: number | undefined, tab: string | undefined): Page {
    const page = this.#findOrAdd(entry, id)
    page.tab = tab === undefined ? page.tab : detachString(tab)
    page.renewalInterval = this.#identity.renewalInterval(page.token)
    // The goodbye may have arrived before this heartbeat.
    if (!page.isOpen && page.isOutdated(epoch)) entry.leave()
    else {
      this.#enterTab(entry, page.tab)
      page.enter(entry)
    }
    page.refuseOutdated(epoch)
    return page
  }

  /** A page is in its tab's scope, too, once the scope has started. Nodes don't learn when that is, so in a cluster the page starts it. */
  #enterTab(entry: Entry, tab: string | undefined): void {
    const { session } = entry
    if (tab === undefined || session.ended !== undefined) return
    if (!this.#sessions.isShared && findScope(this.#sessions, session, tab) === undefined) return
    try {
      enterScope(this.#sessions, entry, tab)
    } catch (error) {
      // The page opens without its scope. A request that uses it receives the error.
      if (!(error instanceof GradioStateError) || error.code !== 'TOO_MANY_SCOPES') throw error
    }
  }

  #findOrAdd(entry: Entry, id: string): Page {
    try {
      return SessionPages.findOrAdd(entry.session, id)
    } catch (error) {
      entry.leave()
      throw error
    }
  }

  #find(session: Session | undefined, id: string): Page | undefined {
    return SessionPages.of(session)?.find(id)
  }
}

export function pageUnknown(id: string): GradioStateError {
  return new GradioStateError('PAGE_UNKNOWN', `Expected a page of this session, got ${show(id)}.`)
}

function pageIdInvalid(id: string): GradioStateError {
  return new GradioStateError(
    'PAGE_ID_INVALID',
    `Expected a page id of 1 to 64 letters, digits, _ and -, got ${show(id)}.`,
  )
}
