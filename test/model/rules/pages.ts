import type { Model } from '../model.ts'
import { type Connection, type Entry, Page, type Session, type User } from '../session.ts'

const TICKET = 30_000
/** How long a page without a socket stays open after each heartbeat, and how long its record is kept after it has left. */
const BEAT_LEASE = 95_000
const REMEMBERED = 120_000

/** The last ticket that a page of a user's browser received, which it sends with its next POST. */
interface LastTicket {
  readonly session: Session
  readonly page: Page
  readonly epoch: number
  readonly at: number
}

/** Pages, and their connections. */
export class Pages {
  readonly connections: Connection[] = []
  readonly #model: Model
  readonly #lastTickets = new Map<string, LastTicket>()

  constructor(model: Model) {
    this.#model = model
  }

  /** The POST of a page. */
  open(label: string, user: User, id: string, n: number): void {
    const { token } = user
    const last = this.#lastTickets.get(`${user.name} ${id}`)
    const session = token === undefined ? undefined : this.#model.sessions.get(token)
    if (session !== undefined) this.#model.entries.return(session)
    const known = session?.pages.get(id)
    if (known?.isOutdated(n)) {
      this.#answer(label, 'gone')
      return
    }
    if (known?.entry !== undefined) {
      this.#beat(known, n)
      this.#model.time.soon(() => this.#opened(label, user, id, token, known, n, last))
      return
    }
    const newToken = token === undefined ? label : undefined
    const arrived = (entry: Entry) => {
      this.#model.time.soon(() => {
        const page = this.#enterPage(entry, id, n)
        if (page === undefined) {
          this.#model.deliver(user, newToken)
          return this.#answer(label, 'gone')
        }
        this.#beat(page, n)
        this.#model.time.soon(() => this.#opened(label, user, id, token ?? label, page, n, last))
      })
    }
    this.#model.entries.come(token ?? label, 'page', label, arrived, () => this.#answer(label, '503'), id)
  }

  /** @returns `undefined` if the session has ended since, or the page has a higher epoch */
  #enterPage(entry: Entry, id: string, n: number): Page | undefined {
    const { session } = entry
    if (session.over) return undefined
    let page = session.pages.get(id)
    if (page === undefined) {
      page = new Page()
      session.pages.set(id, page)
    }
    if (page.entry !== undefined || page.isOutdated(n)) this.#model.entries.leave(entry, {})
    else page.enter(entry)
    return page.isOutdated(n) ? undefined : page
  }

  #beat(page: Page, n: number): void {
    if (n > page.epoch) {
      page.epoch = n
      page.ticket = undefined
      page.connection = undefined
    }
    page.seenAt = this.#model.time.now
    page.leasedUntil = this.#model.time.now + BEAT_LEASE
    if (page.connection === undefined) page.due = this.#model.time.in(BEAT_LEASE)
  }

  /** @param token the session's token, which the response sets as the browser's cookie, even if the browser has it already */
  #opened(
    label: string,
    user: User,
    id: string,
    token: string | undefined,
    page: Page,
    n: number,
    last: LastTicket | undefined,
  ): void {
    const { entry } = page
    const isNew = token === label
    this.#model.entries.whenReady(entry, () => {
      const isOpen = page.entry !== undefined && !page.isOutdated(n)
      if (isOpen || isNew) this.#model.deliver(user, token)
      if (page.entry === undefined || page.isOutdated(n)) return this.#answer(label, 'gone')
      this.#leaveFormer(page, last)
      this.#answer(label, '200')
      const at = this.#model.time.now
      page.ticket = { label, at }
      const { session } = page.entry
      this.#lastTickets.set(`${user.name} ${id}`, { session, page, epoch: page.epoch, at })
    })
  }

  /** A page that was in another session when it received its last ticket leaves that session. */
  #leaveFormer(page: Page, last: LastTicket | undefined): void {
    if (last === undefined || last.page === page || last.session.over) return
    if (this.#model.time.now - last.at <= BEAT_LEASE) this.#sayGoodbye(last.page, last.epoch)
  }

  /** The goodbye of a page. */
  goodbye(label: string, user: User, id: string, n: number): void {
    const session = user.token === undefined ? undefined : this.#model.sessions.get(user.token)
    if (session?.open) this.#model.entries.return(session)
    const page = session?.pages.get(id)
    if (page === undefined) {
      this.#answer(label, '404')
      return
    }
    this.#sayGoodbye(page, n)
    this.#answer(label, '204')
  }

  #sayGoodbye(page: Page, n: number): void {
    if (n < page.epoch) return
    page.epoch = n
    page.gone = true
    page.seenAt = this.#model.time.now
    this.leave(page, {})
  }

  /** Opens the WebSocket of a page with a ticket. */
  upgrade(label: string, ticket: string): void {
    if (this.#model.isClosing) {
      this.#answer(label, '503')
      return
    }
    for (const session of this.#model.sessions.values()) {
      for (const page of session.pages.values()) {
        if (page.ticket?.label !== ticket || this.#model.time.now - page.ticket.at > TICKET) continue
        page.ticket = undefined
        this.#connect({ label, page })
        this.#answer(label, '101')
        return
      }
    }
    this.#answer(label, '401')
  }

  #connect(connection: Connection): void {
    const { entry } = connection.page
    if (entry !== undefined) this.#model.entries.return(entry.session)
    connection.page.connection = connection
    connection.page.leasedUntil = 0
    connection.page.due = undefined
    this.connections.push(connection)
  }

  /** A connection has closed. It may have been replaced earlier. */
  disconnect(connection: Connection, isGoodbye: boolean): void {
    const { page } = connection
    if (page.connection !== connection) return
    page.connection = undefined
    page.seenAt = this.#model.time.now
    if (isGoodbye) page.gone = true
    else if (page.leasedUntil > this.#model.time.now) {
      page.due = this.#model.time.in(page.leasedUntil - this.#model.time.now)
      return
    }
    this.leave(page, { abrupt: !isGoodbye })
  }

  leave(page: Page, how: { abrupt?: boolean }): void {
    const { entry } = page
    if (entry === undefined) return
    const seenAt = page.connection === undefined ? page.seenAt : this.#model.time.now
    page.entry = page.ticket = undefined
    page.connection = undefined
    page.due = this.#model.time.in(REMEMBERED)
    this.#model.entries.leave(entry, { ...how, seenAt })
  }

  #answer(label: string, answer: string): void {
    this.#model.time.say(`${label} answered ${answer}`)
  }
}
