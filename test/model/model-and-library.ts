import type { Place } from '../support/cluster/places.ts'
import type { Action } from './actions.ts'
import { Library } from './library.ts'
import { Model } from './model.ts'
import { type Modes, type Request, type Session, type Settings, USERS, type User } from './session.ts'

/** A page in its browser. */
interface BrowserPage {
  readonly user: User
  readonly id: string
  epoch: number
}

/** The model and the library, with the same actions performed in both. */
export class ModelAndLibrary {
  readonly model: Model
  readonly library: Library
  readonly #modes: Modes = { load: 'returns', unload: 'returns', ended: 'returns', deleteCallback: 'returns' }
  #labels = 0
  readonly #pages = new Map<string, BrowserPage>()
  readonly #tickets: string[] = []
  /** The cookies that each user's browser has ever had. */
  readonly #cookies = new Map<User, Set<string>>()
  readonly #settings: Settings
  #isClosed = false

  constructor(settings: Settings, place?: Place) {
    this.#settings = settings
    const users: User[] = USERS.map(user => ({ ...user, token: user.identified ? user.name : undefined }))
    this.model = new Model(settings, this.#modes, users)
    this.library = new Library(settings, this.#modes, place)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get pages(): Iterable<BrowserPage> {
    return this.#pages.values()
  }

  /** @returns `false` if there is no object to perform the action on */
  do(action: Action): boolean {
    const { model, library } = this
    const label = `${action.do}${++this.#labels}`
    switch (action.do) {
      case 'request': {
        const user = pick(model.users, action.user)!
        const isNavigation = action.by === 'navigation'
        const isByScript = action.by === 'script'
        model.requests.begin(label, user, isNavigation ? 'navigation' : 'request', isByScript)
        library.request(label, user, { isNavigation, isByScript })
        return true
      }
      case 'cookie': {
        const user = pick(model.users, action.user)!
        if (user.identified) return false
        const cookie = pick([undefined, ...this.#cookiesOf(user)], action.which)
        model.changeCookie(user, cookie)
        library.cookies.change(user.name, cookie)
        return true
      }
      case 'use': {
        const request = pick(this.#ready(), action.request)
        if (request === undefined) return false
        const { name } = action
        let { use } = action
        const isFirst = request.entry === undefined
        if (this.#settings.isAsync && isFirst && !['touch', 'has', 'delete', 'end'].includes(use))
          use = 'establish'
        model.requests.use(request, use, name, label)
        library.use(request.label, use, name, label)
        return true
      }
      case 'end': {
        const request = pick(this.#ongoing(), action.request)
        if (request === undefined) return false
        this.#end(
          request,
          request.passed && library.requests.get(request.label)!.passed ? action.how : 'broken',
        )
        return true
      }
      case 'track': {
        const request = pick(this.#ready(), action.request)
        if (request === undefined || (this.#settings.isAsync && request.entry === undefined)) return false
        model.requests.track(request, label)
        library.track(request.label, label)
        return true
      }
      case 'closeTracked': {
        const tracked = pick([...model.requests.tracked.keys()], action.socket)
        if (tracked === undefined) return false
        this.#closeTracked(tracked)
        return true
      }
      case 'openPage':
        this.#openPage(label, this.#page(action.user, action.page), action.newer)
        return true
      case 'reopenPage': {
        const page = this.#knownPage(action.page)
        if (page === undefined) return false
        this.#openPage(label, page, action.newer)
        return true
      }
      case 'upgrade': {
        const tickets = this.#tickets.filter(ticket => library.tickets.has(ticket))
        const ticket = pick(tickets.slice(-8), action.ticket)
        if (ticket === undefined) return false
        model.pages.upgrade(label, ticket)
        library.upgrade(label, ticket, action.late)
        return true
      }
      case 'disconnect': {
        const connection = pick(model.pages.connections, action.connection)
        if (connection === undefined) return false
        this.#disconnect(connection.label, action.how)
        return true
      }
      case 'lateClose': {
        const socket = pick([...library.sockets.values()], action.socket)
        if (socket === undefined) return false
        socket.closeAtLast()
        return true
      }
      case 'goodbye': {
        const page = this.#knownPage(action.page)
        if (page === undefined) return false
        const epoch = Math.max(page.epoch - action.older, 0)
        model.pages.goodbye(label, page.user, page.id, epoch)
        library.goodbye(label, page.user, page.id, epoch)
        return true
      }
      case 'endSession': {
        const known = [...model.sessions.values()].filter(
          session => library.app.idOf(session.name) !== undefined,
        )
        const session = pick(known, action.session)
        if (session === undefined) return false
        model.lifecycle.endSession(label, session)
        void library.endSession(label, session.name)
        return true
      }
      case 'mode':
        this.#modes[action.of] = action.mode
        return true
      case 'close':
        if (this.#isClosed) return false
        this.#isClosed = true
        model.lifecycle.close(action.timeout)
        library.close(action.timeout)
        return true
      case 'wait':
      case 'waitUntilDue':
        return true
      case 'burst':
        return action.actions.filter(action => this.do(action)).length > 0
    }
  }

  /** All users leave. */
  leave(): void {
    for (const request of [...this.model.requests.all]) if (!request.ended) this.#end(request, 'broken')
    for (const { label } of [...this.model.pages.connections]) this.#disconnect(label, 'broken')
    for (const label of [...this.model.requests.tracked.keys()]) this.#closeTracked(label)
  }

  /** Notes which cookies the browsers have received. */
  noteCookies(): void {
    for (const user of this.model.users) {
      const last = this.library.cookies.labelOf(user.name)
      if (last !== undefined) this.model.noteLastDelivered(user, last)
      if (user.token !== undefined) this.#cookiesOf(user).add(user.token)
    }
  }

  /** The session that the page is in, if its browser's cookie leads to another session. */
  staleSessionOf(page: BrowserPage): Session | undefined {
    if (page.user.identified) return undefined
    const target = this.model.sessionOf(page.user)
    if (target === undefined) return undefined
    const session = this.model.sessionWithPage([...this.#cookiesOf(page.user)], page.id)
    return session === target ? undefined : session
  }

  /** The page leaves that session and enters the one that its browser's cookie leads to. */
  movePage(page: BrowserPage, from: Session): void {
    const { connection } = from.pages.get(page.id) ?? {}
    if (connection !== undefined) this.#disconnect(connection.label, 'goodbye')
    this.#openPage(`follow${++this.#labels}`, page, 1)
  }

  #cookiesOf(user: User): Set<string> {
    const cookies = this.#cookies.get(user) ?? new Set()
    this.#cookies.set(user, cookies)
    return cookies
  }

  #ongoing(): Request[] {
    return this.model.requests.all.filter(request => !request.ended)
  }

  /** Requests whose handler is running, and a few whose handler continues after the request or its session has ended. */
  #ready(): Request[] {
    const ready = this.model.requests.all.filter(({ passed, label }) => {
      const request = this.library.requests.get(label)!
      return passed && request.passed && request.pending === 0
    })
    const isLate = ({ ended, entry }: Request) => ended !== undefined || entry?.session.over !== undefined
    return [...ready.filter(request => !isLate(request)), ...ready.filter(isLate).slice(-2)]
  }

  #openPage(label: string, page: BrowserPage, newer: number): void {
    const n = this.#epoch(page, newer)
    this.#tickets.push(label)
    this.model.pages.open(label, page.user, page.id, n)
    this.library.openPage(label, page.user, page.id, n)
  }

  #page(user: number, page: number): BrowserPage {
    const key = `${user} ${page}`
    let known = this.#pages.get(key)
    if (known === undefined) {
      known = { user: this.model.users[user]!, id: `p${page}`, epoch: 1 }
      this.#pages.set(key, known)
    }
    return known
  }

  #knownPage(index: number): BrowserPage | undefined {
    return pick([...this.#pages.values()], index)
  }

  /** The epoch that the page sends: an earlier one, the current one, or the next. */
  #epoch(page: BrowserPage, newer: number): number {
    if (newer > 0) page.epoch += newer
    return newer > 0 ? page.epoch : Math.max(page.epoch + newer, 0)
  }

  #end(request: Request, how: 'html' | 'json' | 'broken'): void {
    this.model.requests.end(request, how)
    this.library.end(request.label, how)
  }

  #closeTracked(label: string): void {
    this.model.requests.closeTracked(label)
    this.library.closeTracked(label)
  }

  #disconnect(label: string, how: 'goodbye' | 'broken' | 'reload'): void {
    const { model, library } = this
    const at = model.pages.connections.findIndex(connection => connection.label === label)
    const [connection] = model.pages.connections.splice(at, 1)
    const socket = library.sockets.get(label)!
    // A socket that the server has dropped can't send anything.
    model.pages.disconnect(connection!, how === 'goodbye')
    if (how === 'broken') socket.break()
    else socket.sayClose(how === 'goodbye' ? 1000 : 4001)
  }
}

function pick<T>(from: readonly T[], index: number): T | undefined {
  return from[index % from.length]
}
