// The rules once more, as plainly as can be said: one list of everything that is due, looked through from the start at
// each step, no cluster, no wheel, no promise. What the model says in its log, the library must do at the same
// millisecond.

import {
  type Connection,
  type Done,
  type Due,
  type EndReason,
  type Entry,
  HOOK_TIMEOUT,
  KEEPING,
  type Kind,
  LATE,
  type Modes,
  type Name,
  NO_OPTIONS,
  Page,
  type Request,
  Session,
  type Settings,
  SLOW,
  type Source,
  type Tracked,
  type Use,
  type User,
  type Value,
} from './session.ts'

/** How much longer the unload waits for a page whose socket broke. */
const RECONNECT = 1_500
/** How long a page may take to come after the answer to its navigation. */
const PAGE_LOAD = 30_000
const TICKET = 30_000
/** How long a page without a socket is open after each of its beats, and how long it is remembered when it has left. */
const BEAT_LEASE = 95_000
const REMEMBERED = 120_000

/** What an operation throws: the code of the error. */
class Refusal extends Error {}

export class Model {
  now = 0
  readonly settings: Settings
  readonly modes: Modes
  readonly users: readonly User[]
  readonly requests: Request[] = []
  readonly connections: Connection[] = []
  /** Tracked sockets, by label. */
  readonly tracked = new Map<string, Tracked>()
  /** The sessions that can be used, by token. */
  readonly sessions = new Map<string, Session>()
  /** The sessions whose last callbacks are under way. */
  readonly ending = new Set<Session>()
  readonly ended = { disconnected: 0, evicted: 0, ended: 0, shutdown: 0 }
  isClosing = false
  /** What `close()` resolves with, once it has. */
  givenUp: string[] | undefined
  readonly #timers: { readonly due: Due | undefined; readonly run: () => void }[] = []
  /** What comes after that which happens at once. */
  readonly #soon: (() => void)[] = []
  /** Those whom the cluster has not answered yet. */
  readonly #arriving = new Set<{ readonly token: string; readonly begins: boolean }>()
  /** When an answer brought the browser each of the tokens. */
  readonly #broughtAt = new Map<string, number>()
  #log: string[] = []
  #movedAt = -1
  #serial = 0
  #initials = 0
  /** While `close()` is waited for: what outran its time limit. */
  #outran: string[] | undefined

  constructor(settings: Settings, modes: Modes, users: readonly User[]) {
    this.settings = settings
    this.modes = modes
    this.users = users
  }

  /** What has happened since the last time. */
  takeLog(): string[] {
    const log = this.#log
    this.#log = []
    return log
  }

  // Time

  advance(ms: number): void {
    const until = this.now + ms
    this.#settle()
    for (let next = this.#next(); next.at <= until; next = this.#next()) {
      this.now = this.#movedAt = next.at
      next.run()
      this.#settle()
    }
    this.now = until
  }

  /** Whether something has happened by itself at this very moment. */
  get isMoving(): boolean {
    return this.#movedAt === this.now
  }

  /** How long it is until something happens by itself. */
  get idle(): number {
    return this.#next().at - this.now
  }

  #next(): { readonly at: number; readonly run: () => void } {
    let next = { at: Infinity, serial: Infinity, run: () => {} }
    const offer = (due: Due | undefined, run: () => void) => {
      if (due === undefined || due.at > next.at) return
      if (due.at < next.at || due.serial < next.serial) next = { ...due, run }
    }
    // What was due in the past, and had to wait, is due now.
    const last = (at: number) => ({ at: Math.max(at, this.now), serial: Number.MAX_SAFE_INTEGER })
    for (const timer of this.#timers) {
      offer(timer.due, () => {
        this.#timers.splice(this.#timers.indexOf(timer), 1)
        timer.run()
      })
    }
    for (const session of [...this.sessions.values(), ...this.ending]) {
      for (const value of session.values.values()) offer(value.due, () => this.#expire(session, value))
      for (const [id, page] of session.pages) {
        offer(page.due, () => {
          if (page.entry) this.#leavePage(page, {})
          else session.pages.delete(id)
        })
      }
      offer(last(session.endDue()), () => this.#end(session, 'disconnected'))
      offer(last(session.unloadDue()), () => this.#unloadWhile(session))
    }
    return next
  }

  #in(ms: number): Due | undefined {
    return Number.isFinite(ms) ? { at: this.now + ms, serial: ++this.#serial } : undefined
  }

  #settle(): void {
    for (let run = this.#soon.shift(); run !== undefined; run = this.#soon.shift()) run()
  }

  #later(ms: number, run: () => void): void {
    this.#timers.push({ due: this.#in(ms), run })
  }

  #say(line: string): void {
    this.#log.push(`${this.now} ${line}`)
  }

  // Requests of the app

  request(label: string, user: User, kind: Kind, isByScript: boolean): void {
    const request: Request = {
      label,
      user,
      kind,
      isByScript,
      isFollowed: false,
      token: user.token,
      newToken: undefined,
      entry: undefined,
      load: undefined,
      passed: false,
      ended: undefined,
    }
    this.requests.push(request)
    const { token } = request
    if (token === undefined) {
      this.#pass(request)
      return
    }
    this.#entry(token, kind, entry => {
      if (entry === undefined) return this.#pass(request)
      this.#bind(request, entry)
      this.#whenReady(entry, () => this.#pass(request))
    })
  }

  #pass(request: Request): void {
    request.passed = true
    this.#say(`${request.label} passed`)
  }

  /** Answers a request, or breaks its line. */
  end(request: Request, how: 'html' | 'json' | 'broken'): void {
    request.ended = how
    if (how !== 'broken') this.#deliver(request.user, request.newToken)
    if (request.entry !== undefined)
      this.#leave(request.entry, { html: how === 'html' || request.isFollowed })
  }

  use(request: Request, use: Use, name: Name, label: string): void {
    const result = (text: string) => this.#say(`${label} ${request.label} ${use} ${text}`)
    try {
      switch (use) {
        case 'get':
          if (name === 'history') result(this.#initial(this.#use(request)).label)
          else result(this.#peek(request)?.values.get(name)?.label ?? 'none')
          break
        case 'set':
        case 'bare':
          this.#set(this.#use(request), name, label, use === 'bare')
          result('done')
          break
        case 'same': {
          const value = this.#peek(request)?.values.get(name)
          if (value !== undefined) this.#set(this.#use(request), name, value.label, true, value)
          result(value ? 'done' : 'none')
          break
        }
        case 'update':
          if (name === 'history') this.#initial(this.#use(request))
          else this.#peek(request)
          this.#set(this.#use(request), name, label, true)
          result('done')
          break
        case 'touch': {
          const value = this.#peek(request)?.values.get(name)
          if (value !== undefined) this.#arm(value)
          result(String(value !== undefined))
          break
        }
        case 'has':
          result(String(this.#peek(request)?.values.has(name) ?? false))
          break
        case 'delete': {
          const session = this.#peek(request)
          const value = session?.values.get(name)
          if (session === undefined || value === undefined) {
            result('false')
            return
          }
          session.values.delete(name)
          this.#release(session, value, 'deleted', () => result('true'))
          break
        }
        case 'id':
          result(this.#use(request).name)
          break
        case 'establish': {
          const begun = (entry: Entry) =>
            this.#soon.push(() => {
              if (entry.session.over) return result('SESSION_ENDED')
              this.#whenReady(entry, () => result('done'))
            })
          if (request.entry === undefined) this.#begin(request, begun, result)
          else begun(request.entry)
          break
        }
        case 'end': {
          const session = request.entry?.session
          if (session === undefined) result('done')
          else if (session.over) this.#whenFinished(session, () => result('done'))
          else this.#end(session, 'ended', () => result('done'))
          break
        }
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      result(error.message)
    }
  }

  /** The app tracks a socket of its own with a request. */
  track(request: Request, label: string): void {
    try {
      const tracked: Tracked = { entry: undefined, isClosed: false }
      this.#entry(this.#use(request).token, 'page', entry => {
        tracked.entry = entry
        if (tracked.isClosed) this.#leaveTracked(tracked)
      })
      this.tracked.set(label, tracked)
      this.#say(`${label} tracked`)
    } catch (error) {
      this.#say(`${label} ${(error as Error).message}`)
    }
  }

  closeTracked(label: string): void {
    const tracked = this.tracked.get(label)!
    this.tracked.delete(label)
    tracked.isClosed = true
    this.#soon.push(() => this.#leaveTracked(tracked))
  }

  #leaveTracked({ entry }: Tracked): void {
    if (entry !== undefined) this.#leave(entry, { abrupt: true })
  }

  #use(request: Request): Session {
    if (this.isClosing) throw new Refusal('CLOSED')
    if (request.entry === undefined) {
      this.#begin(
        request,
        () => {},
        code => {
          throw new Refusal(code)
        },
      )
    }
    return this.#peek(request)!
  }

  #peek(request: Request): Session | undefined {
    if (request.entry?.session.over) throw new Refusal('SESSION_ENDED')
    return request.entry?.session
  }

  #begin(request: Request, begun: (entry: Entry) => void, refused: (code: string) => void): void {
    const isAnswered = request.ended !== undefined && request.ended !== 'broken'
    if (request.token === undefined && isAnswered) {
      refused('HEADERS_SENT')
      return
    }
    const bind = (entry: Entry) => {
      this.#bind(request, entry)
      begun(entry)
    }
    // What the cluster has answered is taken by the request last.
    const arrived = (entry: Entry) => {
      if (this.settings.isAsync) this.#soon.push(() => bind(entry))
      else bind(entry)
    }
    const { token, kind, label, isByScript } = request
    if (token === undefined) request.newToken = label
    // In a cluster, the session of a known token may be on another node.
    const begins = token === undefined || (!this.settings.isAsync && !this.sessions.has(token))
    request.isFollowed = isByScript && kind === 'request' && begins
    this.#come(token ?? label, request.isFollowed ? 'navigation' : kind, label, arrived, code => {
      request.newToken = undefined
      refused(code)
    })
  }

  #bind(request: Request, entry: Entry): void {
    request.entry = entry
    this.#whenReady(entry, () => {
      request.load = entry.session.load
    })
    if (request.ended !== undefined) this.#leave(entry, {})
  }

  /** An answer brings the browser the token that was made for it. */
  #deliver(user: User, newToken: string | undefined): void {
    if (newToken === undefined) return
    user.token = newToken
    this.#broughtAt.set(newToken, this.now)
  }

  /** The browser's cookie is another one, or none. */
  changeCookie(user: User, token: string | undefined): void {
    user.token = token
  }

  /** The session that the browser's cookie leads to. */
  sessionOf({ token }: User): Session | undefined {
    return token === undefined ? undefined : this.sessions.get(token)
  }

  /** The session in which the page of a user is open. */
  sessionWithPage(tokens: readonly string[], id: string): Session | undefined {
    return tokens.map(token => this.sessions.get(token)).find(session => session?.pages.get(id)?.entry)
  }

  /** Of two answers that come in the same moment, either may be the last: it was that with this token. */
  noteLast(user: User, newToken: string): void {
    const at = this.#broughtAt.get(newToken)
    if (at !== undefined && user.token !== undefined && at === this.#broughtAt.get(user.token))
      user.token = newToken
  }

  // Pages

  /** The POST of a page. */
  openPage(label: string, user: User, id: string, n: number): void {
    const { token } = user
    const session = token === undefined ? undefined : this.sessions.get(token)
    if (session !== undefined) this.#return(session)
    const known = session?.pages.get(id)
    if (known?.isOutdated(n)) {
      this.#answer(label, 'gone')
      return
    }
    if (known?.entry !== undefined) {
      this.#beat(known, n)
      this.#soon.push(() => this.#opened(label, user, token, known, n))
      return
    }
    const newToken = token === undefined ? label : undefined
    const arrived = (entry: Entry) => {
      this.#soon.push(() => {
        const page = this.#enterPage(entry, id, n)
        if (page === undefined) {
          this.#deliver(user, newToken)
          return this.#answer(label, 'gone')
        }
        this.#beat(page, n)
        this.#soon.push(() => this.#opened(label, user, token ?? label, page, n))
      })
    }
    this.#come(token ?? label, 'page', label, arrived, () => this.#answer(label, '503'), id)
  }

  /** `undefined`: its session has ended meanwhile, or the page was opened anew. */
  #enterPage(entry: Entry, id: string, n: number): Page | undefined {
    const { session } = entry
    if (session.over) return undefined
    let page = session.pages.get(id)
    if (page === undefined) {
      page = new Page()
      session.pages.set(id, page)
    }
    if (page.entry !== undefined || page.isOutdated(n)) this.#leave(entry, {})
    else page.enter(entry)
    return page.isOutdated(n) ? undefined : page
  }

  #beat(page: Page, n: number): void {
    if (n > page.epoch) {
      page.epoch = n
      page.ticket = undefined
      page.connection = undefined
    }
    page.seenAt = this.now
    page.leasedUntil = this.now + BEAT_LEASE
    if (page.connection === undefined) page.due = this.#in(BEAT_LEASE)
  }

  /** @param token of the session, which the answer brings to the browser: again, or anew */
  #opened(label: string, user: User, token: string | undefined, page: Page, n: number): void {
    const { entry } = page
    const isNew = token === label
    this.#whenReady(entry, () => {
      const isOpen = page.entry !== undefined && !page.isOutdated(n)
      if (isOpen || isNew) this.#deliver(user, token)
      if (page.entry === undefined || page.isOutdated(n)) return this.#answer(label, 'gone')
      this.#answer(label, '200')
      page.ticket = { label, at: this.now }
    })
  }

  /** The page's goodbye, by a beacon. */
  goodbye(label: string, user: User, id: string, n: number): void {
    const session = user.token === undefined ? undefined : this.sessions.get(user.token)
    if (session?.open) this.#return(session)
    const page = session?.pages.get(id)
    if (page === undefined) {
      this.#answer(label, '404')
      return
    }
    if (n >= page.epoch) {
      page.epoch = n
      page.gone = true
      page.seenAt = this.now
      this.#leavePage(page, {})
    }
    this.#answer(label, '204')
  }

  /** The WebSocket that a ticket admits. */
  upgrade(label: string, ticket: string): void {
    if (this.isClosing) {
      this.#answer(label, '503')
      return
    }
    for (const session of this.sessions.values()) {
      for (const page of session.pages.values()) {
        if (page.ticket?.label !== ticket || this.now - page.ticket.at > TICKET) continue
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
    if (entry !== undefined) this.#return(entry.session)
    connection.page.connection = connection
    connection.page.leasedUntil = 0
    connection.page.due = undefined
    this.connections.push(connection)
  }

  /** A connection closes; it may be one that was replaced long ago. */
  disconnect(connection: Connection, isGoodbye: boolean): void {
    const { page } = connection
    if (page.connection !== connection) return
    page.connection = undefined
    page.seenAt = this.now
    if (isGoodbye) page.gone = true
    else if (page.leasedUntil > this.now) {
      page.due = this.#in(page.leasedUntil - this.now)
      return
    }
    this.#leavePage(page, { abrupt: !isGoodbye })
  }

  #leavePage(page: Page, how: { abrupt?: boolean }): void {
    const { entry } = page
    if (entry === undefined) return
    const seenAt = page.connection === undefined ? page.seenAt : this.now
    page.entry = page.ticket = undefined
    page.connection = undefined
    page.due = this.#in(REMEMBERED)
    this.#leave(entry, { ...how, seenAt })
  }

  #answer(label: string, answer: string): void {
    this.#say(`${label} answered ${answer}`)
  }

  // Visits

  /** Somebody comes to a session, if it's there. */
  #entry(token: string, kind: Kind, arrived: (entry: Entry | undefined) => void): void {
    const isThere = this.sessions.has(token)
    this.#answered(token, false, () => {
      const session = this.sessions.get(token)
      // One that was found has ended meanwhile: there may be a newer one.
      if (session === undefined && isThere) this.#entry(token, kind, arrived)
      else {
        if (session !== undefined) this.#return(session)
        arrived(session && this.#enter(session, kind))
      }
    })
  }

  /**
   * Somebody comes to a session, which is begun if it isn't there.
   * @param name what it is called then
   */
  #come(
    token: string,
    kind: Kind,
    name: string,
    arrived: (entry: Entry) => void,
    refused: (code: string) => void,
    page?: string,
  ): void {
    if (this.isClosing) {
      refused('CLOSED')
      return
    }
    const isThere = this.sessions.has(token)
    if (!isThere && !this.#makeRoom(token)) {
      refused('TOO_MANY_SESSIONS')
      return
    }
    this.#answered(token, !isThere, () => {
      let session = this.sessions.get(token)
      // One that was found has ended meanwhile.
      if (session === undefined && isThere) return this.#come(token, kind, name, arrived, refused, page)
      if (session === undefined) {
        session = new Session(name, token)
        this.sessions.set(token, session)
        this.#runLoad(session)
      } else {
        this.#return(session)
      }
      arrived(this.#enter(session, kind, page))
    })
  }

  /** Runs what is done with an answer, which a cluster gives a little later. */
  #answered(token: string, begins: boolean, run: () => void): void {
    if (!this.settings.isAsync) {
      run()
      return
    }
    const arrival = { token, begins }
    this.#arriving.add(arrival)
    this.#soon.push(() => {
      this.#arriving.delete(arrival)
      run()
    })
  }

  #makeRoom(token: string): boolean {
    const { maxSessions } = this.settings
    const arriving = [...this.#arriving]
    const tokens = new Set(this.sessions.keys())
    for (const { token, begins } of arriving) if (begins) tokens.add(token)
    if (tokens.has(token) || tokens.size < maxSessions) return true
    const [oldest] = [...this.sessions.values()]
      .filter(session => session.isSpare && !arriving.some(({ token }) => token === session.token))
      .sort((one, other) => one.rank - other.rank || one.spareSince - other.spareSince)
    if (oldest === undefined || this.ending.size >= maxSessions) return false
    this.#end(oldest, 'evicted')
    return true
  }

  /** Something comes after the first request of a session, other than a goodbye to one that is closed. If it is closed, it is from now on the last to make room. */
  #return(session: Session): void {
    if (session.returned) return
    session.returned = true
    session.spareSince = ++this.#serial
  }

  #enter(session: Session, kind: Kind, page?: string): Entry {
    // A page that has lost its socket and returns is not the page of a navigation.
    const isReconnect = page !== undefined && session.pages.get(page)?.gone === false
    if (kind === 'page' && !session.holds('page')) session.pageTimeUntil = this.now
    const entry: Entry = { session, kind, left: false, waiting: undefined }
    session.entries.add(entry)
    if (kind === 'page') {
      session.sawPage = true
      session.spareSince = ++this.#serial
      session.awaited = session.awaited.filter(until => until > this.now)
      if (isReconnect) {
        // Nothing that is awaited has come.
      } else if (session.awaited.length > 0) session.awaited.shift()
      else if (session.early < [...session.entries].filter(entry => entry.kind === 'navigation').length)
        session.early++
    } else {
      session.unloadAt = Math.max(session.unloadAt, this.now + this.settings.unloadDelay)
    }
    if (session.phase === 'unloading') {
      entry.waiting = []
      session.waiting.push(entry)
      this.#later(HOOK_TIMEOUT, () => this.#ready(entry))
    } else if (session.phase === 'unloaded') {
      this.#reload(session)
    }
    return entry
  }

  #leave(entry: Entry, { abrupt = false, html = false, seenAt = this.now }): void {
    const { session, kind } = entry
    if (entry.left) return
    entry.left = true
    session.entries.delete(entry)
    if (session.over) return
    if (!session.open) session.spareSince = ++this.#serial
    if (kind === 'page' && seenAt > session.pageTimeUntil) {
      session.pageTime += seenAt - session.pageTimeUntil
      session.pageTimeUntil = seenAt
    }
    session.endAt = this.now + this.settings.gracePeriod
    if (kind === 'page' || !session.sawPage) {
      const delay = this.settings.unloadDelay + (abrupt ? RECONNECT : 0)
      session.unloadAt = Math.max(session.unloadAt, this.now + delay)
    }
    if (kind !== 'navigation') return
    if (session.early > 0) session.early--
    else if (html) session.awaited.push(this.now + PAGE_LOAD)
  }

  #whenReady(entry: Entry | undefined, run: () => void): void {
    if (entry?.waiting === undefined) run()
    else entry.waiting.push(run)
  }

  #ready(entry: Entry): void {
    const waiting = entry.waiting ?? []
    entry.waiting = undefined
    for (const run of waiting) run()
  }

  // Sessions

  #reload(session: Session): void {
    session.phase = 'loaded'
    session.load = { over: false }
    session.sawPage = session.holds('page')
    this.#runLoad(session)
  }

  #runLoad(session: Session): void {
    this.#afterHooks(session, done => this.#runHooks(session, 'load', '', done))
  }

  #unloadWhile(session: Session): void {
    session.awaited = []
    this.#unload(session, 'disconnected', () => {
      if (session.over === undefined) session.phase = 'unloaded'
      const { waiting } = session
      session.waiting = []
      for (const entry of waiting) {
        if (!entry.left && !session.over) {
          if (session.phase === 'unloaded') this.#reload(session)
          if (entry.kind !== 'page')
            session.unloadAt = Math.max(session.unloadAt, this.now + this.settings.unloadDelay)
        }
      }
      for (const entry of waiting) this.#soon.push(() => this.#ready(entry))
    })
  }

  #unload(session: Session, reason: EndReason, settled: Done): void {
    session.phase = 'unloading'
    session.load.over = true
    this.#afterHooks(session, done => {
      // In a cluster, an end that overtakes an unload takes its claim, and does its work: nobody waits for the unload any more.
      const overtakenBy = this.settings.isAsync ? session.over : undefined
      if (overtakenBy !== undefined) settled()
      this.#runHooks(session, 'unload', overtakenBy ?? reason, () => {
        done()
        if (overtakenBy === undefined) settled()
      })
    })
  }

  /** The end that somebody has asked for by the id of the session. */
  endSession(label: string, session: Session): void {
    this.#end(session, 'ended', () => this.#say(`${label} ended ${session.name}`))
  }

  #whenFinished(session: Session, run: Done): void {
    if (this.ending.has(session)) session.finished.push(run)
    else run()
  }

  #end(session: Session, reason: EndReason, finished?: Done): void {
    if (finished !== undefined) session.finished.push(finished)
    session.over = reason
    session.load.over = true
    this.sessions.delete(session.token)
    this.ending.add(session)
    this.ended[reason]++
    for (const page of session.pages.values()) {
      if (page.connection !== undefined) this.#say(`${page.connection.label} notified ${reason}`)
      page.entry = page.ticket = undefined
      page.connection = undefined
    }
    session.pages.clear()
    if (session.phase === 'loaded') this.#unload(session, reason, () => {})
    this.#afterHooks(session, done =>
      this.#deleteAll(session, reason, () =>
        this.#runHooks(session, 'ended', reason, () => {
          this.ending.delete(session)
          for (const finished of session.finished) finished()
          done()
        }),
      ),
    )
  }

  close(timeout: number): void {
    this.isClosing = true
    const outran: string[] = []
    this.#outran = outran
    const resolve = () => {
      if (this.#outran === undefined) return
      this.#outran = undefined
      const unfinished = [...this.ending].map(session => `session ${session.name}`)
      this.givenUp = [...outran, ...unfinished].sort()
    }
    for (const session of [...this.sessions.values()]) this.#end(session, 'shutdown')
    const unfinished = new Set(this.ending)
    for (const session of this.ending) {
      session.finished.push(() => {
        unfinished.delete(session)
        if (unfinished.size === 0) resolve()
      })
    }
    if (unfinished.size === 0) resolve()
    else this.#later(timeout, resolve)
  }

  // Values

  #initial(session: Session): Value {
    if (!session.values.has('history')) this.#set(session, 'history', `initial${++this.#initials}`, false)
    return session.values.get('history')!
  }

  #set(session: Session, name: Name, label: string, isBare: boolean, same?: Value): void {
    const old = session.values.get(name)
    const isPlain = name === 'cache' || name === 'handle'
    const given = name === 'handle' ? undefined : isPlain && isBare ? undefined : KEEPING[name]
    const keeping = given ?? old?.keeping ?? (name === 'handle' ? KEEPING.handle : NO_OPTIONS)
    if (same !== undefined) {
      same.keeping = keeping
      this.#arm(same)
      return
    }
    const value: Value = { name, label, keeping, due: undefined }
    session.values.set(name, value)
    this.#arm(value)
    if (old?.keeping.deleteReplaced) this.#release(session, old, 'replaced')
  }

  #arm(value: Value): void {
    value.due = this.#in(value.keeping.timeToLive)
  }

  #expire(session: Session, value: Value): void {
    session.values.delete(value.name)
    this.#release(session, value, 'timeToLive')
  }

  #deleteAll(session: Session, reason: EndReason, done: Done): void {
    const values = [...session.values.values()]
    session.values.clear()
    session.afterCallbacks = () => {
      session.final = values
      done()
    }
    session.callbacks++
    for (const value of values) this.#release(session, value, reason)
    this.#calledBack(session)
  }

  /** Calls the callback of a value that is removed already. */
  #release(session: Session, value: Value, reason: string, done?: Done): void {
    const { name, label, keeping } = value
    if (keeping.deletion === 'dispose') this.#say(`disposes ${name}=${label}`)
    if (keeping.deletion !== 'callback') {
      done?.()
      return
    }
    session.callbacks++
    this.#say(`${session.name} deletes ${name}=${label} ${reason}`)
    this.#call('deleteCallback', session, reason !== 'replaced', name, () => {
      this.#calledBack(session)
      done?.()
    })
  }

  #calledBack(session: Session): void {
    if (--session.callbacks > 0) return
    const { afterCallbacks } = session
    session.afterCallbacks = undefined
    afterCallbacks?.()
  }

  // Hooks

  #afterHooks(session: Session, task: (done: Done) => void): void {
    session.hooks.push(task)
    if (session.busy) return
    session.busy = true
    this.#soon.push(() => this.#nextHooks(session))
  }

  #nextHooks(session: Session): void {
    const task = session.hooks.shift()
    session.busy = task !== undefined
    task?.(() => this.#soon.push(() => this.#nextHooks(session)))
  }

  /** Two hooks of each kind run at once: one that does what its mode says, and one that just returns. */
  #runHooks(session: Session, source: Source, reason: string, done: Done): void {
    this.#say(`${session.name} ${source} ${reason} ${session.show()}`)
    this.#call(source, session, true, undefined, done)
    this.#say(`${session.name} ${source} too`)
  }

  #call(source: Source, session: Session, mayReenter: boolean, name: Name | undefined, done: Done): void {
    const error = (what: string) =>
      this.#say(`error ${what} ${source} ${session.name}${name === undefined ? '' : ` ${name}`}`)
    const timeOut = () => {
      error('HOOK_TIMEOUT')
      this.#outran?.push(`${source} ${session.name}${name === undefined ? '' : ` ${name}`}`)
      done()
    }
    const mode = this.modes[source]
    switch (mode) {
      case 'throws':
      case 'rejects':
        error(mode)
        break
      case 'slow':
        this.#later(SLOW, done)
        return
      case 'late':
        this.#later(LATE, () => error(mode))
        this.#later(HOOK_TIMEOUT, timeOut)
        return
      case 'hangs':
        this.#later(HOOK_TIMEOUT, timeOut)
        return
      case 'sets':
        if (mayReenter && !session.over) this.#set(session, name ?? 'model', `again${++session.again}`, false)
        break
      case 'deletes':
        if (mayReenter && !session.over) this.#deleteAgain(session)
        break
      case 'ends':
        if (!session.over) this.#end(session, 'ended')
        break
    }
    done()
  }

  #deleteAgain(session: Session): void {
    const value = session.values.get('history')
    if (value === undefined) return
    session.values.delete('history')
    this.#release(session, value, 'deleted')
  }
}
