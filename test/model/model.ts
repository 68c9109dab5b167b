// The rules once more, as plainly as can be said: one list of everything that is due, looked through from the start at
// each step, no cluster, no wheel, no promise. What the model says in its log, the library must do at the same
// millisecond.

import {
  type Connection,
  type Done,
  type Due,
  type EndReason,
  HOOK_TIMEOUT,
  KEEPING,
  type Kind,
  LATE,
  Life,
  type Modes,
  type Name,
  NO_OPTIONS,
  Page,
  type Request,
  type Settings,
  SLOW,
  type Source,
  type Tracked,
  type Use,
  type User,
  type Value,
  type Visit,
} from './life.ts'

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
  readonly lives = new Map<string, Life>()
  /** The sessions whose last callbacks are under way. */
  readonly ending = new Set<Life>()
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
    for (const life of [...this.lives.values(), ...this.ending]) {
      for (const value of life.values.values()) offer(value.due, () => this.#expire(life, value))
      for (const [id, page] of life.pages) {
        offer(page.due, () => {
          if (page.visit) this.#leavePage(page, {})
          else life.pages.delete(id)
        })
      }
      offer(last(life.endDue()), () => this.#end(life, 'disconnected'))
      offer(last(life.unloadDue()), () => this.#unloadWhile(life))
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

  request(label: string, user: User, kind: Kind): void {
    const request: Request = {
      label,
      user,
      kind,
      token: user.token,
      minted: undefined,
      visit: undefined,
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
    this.#visit(token, kind, visit => {
      if (visit === undefined) return this.#pass(request)
      this.#bind(request, visit)
      this.#whenReady(visit, () => this.#pass(request))
    })
  }

  #pass(request: Request): void {
    request.passed = true
    this.#say(`${request.label} passed`)
  }

  /** Answers a request, or breaks its line. */
  end(request: Request, how: 'html' | 'json' | 'broken'): void {
    request.ended = how
    if (how !== 'broken') this.#deliver(request.user, request.minted)
    if (request.visit !== undefined) this.#leave(request.visit, { html: how === 'html' })
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
          const life = this.#peek(request)
          const value = life?.values.get(name)
          if (life === undefined || value === undefined) {
            result('false')
            return
          }
          life.values.delete(name)
          this.#release(life, value, 'deleted', () => result('true'))
          break
        }
        case 'id':
          result(this.#use(request).name)
          break
        case 'establish': {
          const begun = (visit: Visit) =>
            this.#soon.push(() => {
              if (visit.life.over) return result('SESSION_ENDED')
              this.#whenReady(visit, () => result('done'))
            })
          if (request.visit === undefined) this.#begin(request, begun, result)
          else begun(request.visit)
          break
        }
        case 'end': {
          const life = request.visit?.life
          if (life === undefined) result('done')
          else if (life.over) this.#whenFinished(life, () => result('done'))
          else this.#end(life, 'ended', () => result('done'))
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
      const tracked: Tracked = { visit: undefined, isClosed: false }
      this.#visit(this.#use(request).token, 'page', visit => {
        tracked.visit = visit
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

  #leaveTracked({ visit }: Tracked): void {
    if (visit !== undefined) this.#leave(visit, { abrupt: true })
  }

  #use(request: Request): Life {
    if (this.isClosing) throw new Refusal('CLOSED')
    if (request.visit === undefined) {
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

  #peek(request: Request): Life | undefined {
    if (request.visit?.life.over) throw new Refusal('SESSION_ENDED')
    return request.visit?.life
  }

  #begin(request: Request, begun: (visit: Visit) => void, refused: (code: string) => void): void {
    const isAnswered = request.ended !== undefined && request.ended !== 'broken'
    if (request.token === undefined && isAnswered) {
      refused('HEADERS_SENT')
      return
    }
    const bind = (visit: Visit) => {
      this.#bind(request, visit)
      begun(visit)
    }
    // What the cluster has answered is taken by the request last.
    const arrived = (visit: Visit) => {
      if (this.settings.isAsync) this.#soon.push(() => bind(visit))
      else bind(visit)
    }
    const { token, kind, label } = request
    if (token === undefined) request.minted = label
    this.#come(token ?? label, kind, label, arrived, code => {
      request.minted = undefined
      refused(code)
    })
  }

  #bind(request: Request, visit: Visit): void {
    request.visit = visit
    this.#whenReady(visit, () => {
      request.load = visit.life.load
    })
    if (request.ended !== undefined) this.#leave(visit, {})
  }

  /** An answer brings the browser the token that was made for it. */
  #deliver(user: User, minted: string | undefined): void {
    if (minted === undefined) return
    user.token = minted
    this.#broughtAt.set(minted, this.now)
  }

  /** Of two answers that come in the same moment, either may be the last: it was that with this token. */
  noteLast(user: User, minted: string): void {
    const at = this.#broughtAt.get(minted)
    if (at !== undefined && user.token !== undefined && at === this.#broughtAt.get(user.token))
      user.token = minted
  }

  // Pages

  /** The POST of a page. */
  openPage(label: string, user: User, id: string, n: number): void {
    const { token } = user
    const life = token === undefined ? undefined : this.lives.get(token)
    if (life !== undefined) this.#return(life)
    const known = life?.pages.get(id)
    if (known?.isOutdated(n)) {
      this.#answer(label, 'gone')
      return
    }
    if (known?.visit !== undefined) {
      this.#beat(known, n)
      this.#soon.push(() => this.#opened(label, user, undefined, known, n))
      return
    }
    const minted = token === undefined ? label : undefined
    const arrived = (visit: Visit) => {
      this.#soon.push(() => {
        const page = this.#enterPage(visit, id, n)
        if (page === undefined) {
          this.#deliver(user, minted)
          return this.#answer(label, 'gone')
        }
        this.#beat(page, n)
        this.#soon.push(() => this.#opened(label, user, minted, page, n))
      })
    }
    this.#come(token ?? label, 'page', label, arrived, () => this.#answer(label, '503'))
  }

  /** `undefined`: its session has ended meanwhile, or the page was opened anew. */
  #enterPage(visit: Visit, id: string, n: number): Page | undefined {
    const { life } = visit
    if (life.over) return undefined
    let page = life.pages.get(id)
    if (page === undefined) {
      page = new Page()
      life.pages.set(id, page)
    }
    if (page.visit !== undefined || page.isOutdated(n)) this.#leave(visit, {})
    else page.enter(visit)
    return page.isOutdated(n) ? undefined : page
  }

  #beat(page: Page, n: number): void {
    if (n > page.epoch) {
      page.epoch = n
      page.ticket = undefined
      page.connection = undefined
    }
    page.leasedUntil = this.now + BEAT_LEASE
    if (page.connection === undefined) page.due = this.#in(BEAT_LEASE)
  }

  #opened(label: string, user: User, minted: string | undefined, page: Page, n: number): void {
    const { visit } = page
    this.#whenReady(visit, () => {
      this.#deliver(user, minted)
      if (page.visit === undefined || page.isOutdated(n)) return this.#answer(label, 'gone')
      this.#answer(label, '200')
      page.ticket = { label, at: this.now }
    })
  }

  /** The page's goodbye, by a beacon. */
  goodbye(label: string, user: User, id: string, n: number): void {
    const life = user.token === undefined ? undefined : this.lives.get(user.token)
    if (life !== undefined) this.#return(life)
    const page = life?.pages.get(id)
    if (page === undefined) {
      this.#answer(label, '404')
      return
    }
    if (n >= page.epoch) {
      page.epoch = n
      page.gone = true
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
    for (const life of this.lives.values()) {
      for (const page of life.pages.values()) {
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
    const { visit } = connection.page
    if (visit !== undefined) this.#return(visit.life)
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
    if (isGoodbye) page.gone = true
    else if (page.leasedUntil > this.now) {
      page.due = this.#in(page.leasedUntil - this.now)
      return
    }
    this.#leavePage(page, { abrupt: !isGoodbye })
  }

  #leavePage(page: Page, how: { abrupt?: boolean }): void {
    const { visit } = page
    if (visit === undefined) return
    page.visit = page.ticket = undefined
    page.connection = undefined
    page.due = this.#in(REMEMBERED)
    this.#leave(visit, how)
  }

  #answer(label: string, answer: string): void {
    this.#say(`${label} answered ${answer}`)
  }

  // Visits

  /** Somebody comes to a session, if it's there. */
  #visit(token: string, kind: Kind, arrived: (visit: Visit | undefined) => void): void {
    const isThere = this.lives.has(token)
    this.#answered(token, false, () => {
      const life = this.lives.get(token)
      // One that was found has ended meanwhile: there may be a newer one.
      if (life === undefined && isThere) this.#visit(token, kind, arrived)
      else {
        if (life !== undefined) this.#return(life)
        arrived(life && this.#enter(life, kind))
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
    arrived: (visit: Visit) => void,
    refused: (code: string) => void,
  ): void {
    if (this.isClosing) {
      refused('CLOSED')
      return
    }
    const isThere = this.lives.has(token)
    if (!isThere && !this.#makeRoom(token)) {
      refused('TOO_MANY_SESSIONS')
      return
    }
    this.#answered(token, !isThere, () => {
      let life = this.lives.get(token)
      // One that was found has ended meanwhile.
      if (life === undefined && isThere) return this.#come(token, kind, name, arrived, refused)
      if (life === undefined) {
        life = new Life(name, token)
        this.lives.set(token, life)
        this.#runLoad(life)
      } else {
        this.#return(life)
      }
      arrived(this.#enter(life, kind))
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
    const tokens = new Set(this.lives.keys())
    for (const { token, begins } of arriving) if (begins) tokens.add(token)
    if (tokens.has(token) || tokens.size < maxSessions) return true
    const [oldest] = [...this.lives.values()]
      .filter(life => life.isSpare && !arriving.some(({ token }) => token === life.token))
      .sort(
        (one, other) => Number(one.returned) - Number(other.returned) || one.spareSince - other.spareSince,
      )
    if (oldest === undefined || this.ending.size >= maxSessions) return false
    this.#end(oldest, 'evicted')
    return true
  }

  /** Something comes after the first request of a session. If it is closed, it is from now on the last to make room. */
  #return(life: Life): void {
    if (life.returned) return
    life.returned = true
    life.spareSince = ++this.#serial
  }

  #enter(life: Life, kind: Kind): Visit {
    const visit: Visit = { life, kind, left: false, waiting: undefined }
    life.visits.add(visit)
    if (kind === 'page') {
      life.sawPage = true
      life.spareSince = ++this.#serial
      life.awaited = life.awaited.filter(until => until > this.now)
      if (life.awaited.length > 0) life.awaited.shift()
      else if (life.early < [...life.visits].filter(visit => visit.kind === 'navigation').length) life.early++
    } else {
      life.unloadAt = Math.max(life.unloadAt, this.now + this.settings.unloadDelay)
    }
    if (life.phase === 'unloading') {
      visit.waiting = []
      life.waiting.push(visit)
      this.#later(HOOK_TIMEOUT, () => this.#ready(visit))
    } else if (life.phase === 'unloaded') {
      this.#reload(life)
    }
    return visit
  }

  #leave(visit: Visit, { abrupt = false, html = false }): void {
    const { life, kind } = visit
    if (visit.left) return
    visit.left = true
    life.visits.delete(visit)
    if (life.over) return
    if (!life.open) life.spareSince = ++this.#serial
    life.endAt = this.now + this.settings.gracePeriod
    if (kind === 'page' || !life.sawPage) {
      const delay = this.settings.unloadDelay + (abrupt ? RECONNECT : 0)
      life.unloadAt = Math.max(life.unloadAt, this.now + delay)
    }
    if (kind !== 'navigation') return
    if (life.early > 0) life.early--
    else if (html) life.awaited.push(this.now + PAGE_LOAD)
  }

  #whenReady(visit: Visit | undefined, run: () => void): void {
    if (visit?.waiting === undefined) run()
    else visit.waiting.push(run)
  }

  #ready(visit: Visit): void {
    const waiting = visit.waiting ?? []
    visit.waiting = undefined
    for (const run of waiting) run()
  }

  // Sessions

  #reload(life: Life): void {
    life.phase = 'loaded'
    life.load = { over: false }
    life.sawPage = life.holds('page')
    this.#runLoad(life)
  }

  #runLoad(life: Life): void {
    this.#afterHooks(life, done => this.#runHooks(life, 'load', '', done))
  }

  #unloadWhile(life: Life): void {
    life.awaited = []
    this.#unload(life, 'disconnected', () => {
      if (life.over === undefined) life.phase = 'unloaded'
      const { waiting } = life
      life.waiting = []
      for (const visit of waiting) {
        if (!visit.left && !life.over) {
          if (life.phase === 'unloaded') this.#reload(life)
          if (visit.kind !== 'page')
            life.unloadAt = Math.max(life.unloadAt, this.now + this.settings.unloadDelay)
        }
      }
      for (const visit of waiting) this.#soon.push(() => this.#ready(visit))
    })
  }

  #unload(life: Life, reason: EndReason, settled: Done): void {
    life.phase = 'unloading'
    life.load.over = true
    this.#afterHooks(life, done => {
      // In a cluster, an end that overtakes an unload takes its claim, and does its work: nobody waits for the unload any more.
      const overtakenBy = this.settings.isAsync ? life.over : undefined
      if (overtakenBy !== undefined) settled()
      this.#runHooks(life, 'unload', overtakenBy ?? reason, () => {
        done()
        if (overtakenBy === undefined) settled()
      })
    })
  }

  /** The end that somebody has asked for by the id of the session. */
  endSession(label: string, life: Life): void {
    this.#end(life, 'ended', () => this.#say(`${label} ended ${life.name}`))
  }

  #whenFinished(life: Life, run: Done): void {
    if (this.ending.has(life)) life.finished.push(run)
    else run()
  }

  #end(life: Life, reason: EndReason, finished?: Done): void {
    if (finished !== undefined) life.finished.push(finished)
    life.over = reason
    life.load.over = true
    this.lives.delete(life.token)
    this.ending.add(life)
    this.ended[reason]++
    for (const page of life.pages.values()) {
      if (page.connection !== undefined) this.#say(`${page.connection.label} told ${reason}`)
      page.visit = page.ticket = undefined
      page.connection = undefined
    }
    life.pages.clear()
    if (life.phase === 'loaded') this.#unload(life, reason, () => {})
    this.#afterHooks(life, done =>
      this.#deleteAll(life, reason, () =>
        this.#runHooks(life, 'ended', reason, () => {
          this.ending.delete(life)
          for (const finished of life.finished) finished()
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
      const unfinished = [...this.ending].map(life => `session ${life.name}`)
      this.givenUp = [...outran, ...unfinished].sort()
    }
    for (const life of [...this.lives.values()]) this.#end(life, 'shutdown')
    const unfinished = new Set(this.ending)
    for (const life of this.ending) {
      life.finished.push(() => {
        unfinished.delete(life)
        if (unfinished.size === 0) resolve()
      })
    }
    if (unfinished.size === 0) resolve()
    else this.#later(timeout, resolve)
  }

  // Values

  #initial(life: Life): Value {
    if (!life.values.has('history')) this.#set(life, 'history', `initial${++this.#initials}`, false)
    return life.values.get('history')!
  }

  #set(life: Life, name: Name, label: string, isBare: boolean, same?: Value): void {
    const old = life.values.get(name)
    const isPlain = name === 'cache' || name === 'handle'
    const given = name === 'handle' ? undefined : isPlain && isBare ? undefined : KEEPING[name]
    const keeping = given ?? old?.keeping ?? (name === 'handle' ? KEEPING.handle : NO_OPTIONS)
    if (same !== undefined) {
      same.keeping = keeping
      this.#arm(same)
      return
    }
    const value: Value = { name, label, keeping, due: undefined }
    life.values.set(name, value)
    this.#arm(value)
    if (old?.keeping.deleteReplaced) this.#release(life, old, 'replaced')
  }

  #arm(value: Value): void {
    value.due = this.#in(value.keeping.timeToLive)
  }

  #expire(life: Life, value: Value): void {
    life.values.delete(value.name)
    this.#release(life, value, 'timeToLive')
  }

  #deleteAll(life: Life, reason: EndReason, done: Done): void {
    const values = [...life.values.values()]
    life.values.clear()
    life.afterCallbacks = () => {
      life.final = values
      done()
    }
    life.callbacks++
    for (const value of values) this.#release(life, value, reason)
    this.#calledBack(life)
  }

  /** Tells the app of a value that is gone already. */
  #release(life: Life, value: Value, reason: string, done?: Done): void {
    const { name, label, keeping } = value
    if (keeping.told === 'dispose') this.#say(`disposes ${name}=${label}`)
    if (keeping.told !== 'callback') {
      done?.()
      return
    }
    life.callbacks++
    this.#say(`${life.name} deletes ${name}=${label} ${reason}`)
    this.#call('deleteCallback', life, reason !== 'replaced', name, () => {
      this.#calledBack(life)
      done?.()
    })
  }

  #calledBack(life: Life): void {
    if (--life.callbacks > 0) return
    const { afterCallbacks } = life
    life.afterCallbacks = undefined
    afterCallbacks?.()
  }

  // Hooks

  #afterHooks(life: Life, task: (done: Done) => void): void {
    life.hooks.push(task)
    if (life.busy) return
    life.busy = true
    this.#soon.push(() => this.#nextHooks(life))
  }

  #nextHooks(life: Life): void {
    const task = life.hooks.shift()
    life.busy = task !== undefined
    task?.(() => this.#soon.push(() => this.#nextHooks(life)))
  }

  /** Two hooks of each kind run at once: one that does what its mode says, and one that just returns. */
  #runHooks(life: Life, source: Source, reason: string, done: Done): void {
    this.#say(`${life.name} ${source} ${reason} ${life.show()}`)
    this.#call(source, life, true, undefined, done)
    this.#say(`${life.name} ${source} too`)
  }

  #call(source: Source, life: Life, mayReenter: boolean, name: Name | undefined, done: Done): void {
    const error = (what: string) =>
      this.#say(`error ${what} ${source} ${life.name}${name === undefined ? '' : ` ${name}`}`)
    const timeOut = () => {
      error('HOOK_TIMEOUT')
      this.#outran?.push(`${source} ${life.name}${name === undefined ? '' : ` ${name}`}`)
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
        if (mayReenter && !life.over) this.#set(life, name ?? 'model', `again${++life.again}`, false)
        break
      case 'deletes':
        if (mayReenter && !life.over) this.#deleteAgain(life)
        break
      case 'ends':
        if (!life.over) this.#end(life, 'ended')
        break
    }
    done()
  }

  #deleteAgain(life: Life): void {
    const value = life.values.get('history')
    if (value === undefined) return
    life.values.delete('history')
    this.#release(life, value, 'deleted')
  }
}
