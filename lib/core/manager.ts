import createDebug from 'debug'
import type { Clock } from '../clock.js'
import type { Claim, EndReason, Engine, Holder, Life, MaybePromise } from '../engines/engine.js'
import { GradioStateError } from '../errors.js'
import { warnOfNoPage } from '../warnings.js'
import { Arrivals } from './arrivals.js'
import { Claims } from './claims.js'
import { Deadlines } from './deadlines.js'
import type { ErrorContext } from './events.js'
import { Gate } from './gate.js'
import { Hooks, isThenable } from './hooks.js'
import type { CloseReport, SessionStats } from './reports.js'
import { Load, Session } from './session.js'
import { SessionTable } from './session-table.js'
import { StateRegistry } from './state.js'
import type { ValuesContext } from './values.js'
import { type Leaving, Visit } from './visit.js'

const debug = createDebug('gradio-state:session')

/** What the manager is set up with; durations in milliseconds. */
export interface ManagerConfig {
  readonly clock: Clock
  readonly gracePeriod: number
  readonly unloadDelay: number
  readonly hookTimeout: number
  readonly maxSessions: number
  /** Where the directory of a session is, or would be. */
  readonly directoryOf: (id: string) => string
}

/** Keeps the sessions of this process: who is here is the engine's to know, what follows from it is decided here. */
export class Manager {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly states = new StateRegistry()
  /** Whether `close()` was called: nothing new is let in. */
  closing = false
  readonly #config: ManagerConfig
  readonly #engine: Engine
  readonly #gate: Gate
  readonly #values: ValuesContext
  readonly #sessions: SessionTable
  readonly #arrivals = new Arrivals()
  #holders = 0
  #report: Promise<CloseReport> | undefined
  #saidNoPage = false

  constructor(config: ManagerConfig, engine: Engine) {
    this.#config = config
    this.#sessions = new SessionTable(config.maxSessions)
    this.#engine = engine
    this.deadlines = new Deadlines(config.clock)
    this.hooks = new Hooks(this.deadlines, config.hookTimeout)
    const wake = () => this.deadlines.wake()
    this.#gate = new Gate(PARALLEL_SESSIONS, wake)
    // Not the sessions' own gate: an end, which has a place there, waits for the callbacks of values that time took.
    const gate = new Gate(PARALLEL_VALUES, () => {})
    this.#values = { deadlines: this.deadlines, hooks: this.hooks, gate }
    this.deadlines.add(
      new Claims(engine, this.#gate, this.hooks, this.deadlines, (claim, settle) => this.#due(claim, settle)),
    )
    this.#background(
      engine.start({
        wake,
        gone: (token, life, reason) => {
          this.#arrivals.noteEnd(token, life)
          const session = this.#sessions.findById(life)
          if (session !== undefined) void this.#finish(session, reason)
        },
      }),
    )
  }

  /** The session of a token, if it has one here. Free of effects. */
  find(token: string): Session | undefined {
    return this.#sessions.find(token)
  }

  findById(id: string): Session | undefined {
    return this.#sessions.findById(id)
  }

  all(): Session[] {
    return this.#sessions.all()
  }

  /**
   * Somebody comes to the session of `token`. Without `create`, `undefined` where there is none. The visit counts from
   * now on; its `ready` has to be awaited before the visitor goes on.
   */
  enter(token: string, kind: Holder['kind'], create: { info: () => unknown }): MaybePromise<Visit>
  enter(token: string, kind: Holder['kind']): MaybePromise<Visit | undefined>
  enter(
    token: string,
    kind: Holder['kind'],
    create?: { info: () => unknown },
  ): MaybePromise<Visit | undefined> {
    if (this.closing) throw closed()
    const isFresh = create !== undefined && !this.#sessions.has(token) && !this.#arrivals.isFresh(token)
    if (isFresh) this.#makeRoom()
    const holder: Holder = { id: String(++this.#holders), kind }
    const life = this.#engine.open(token, holder, this.#arrival(kind, create !== undefined))
    if (isThenable(life)) return this.#admitLater(token, holder, isFresh, life, create)
    return this.#admit(token, holder, life, create)
  }

  /** Ends a session now; resolves when all its callbacks have run. */
  async end(session: Session, reason: EndReason): Promise<void> {
    if (session.ended === undefined) this.#background(this.#engine.end(session.token, session.id, reason))
    const finished = this.#finish(session, reason)
    // Waiting for oneself would only end by the time limit: the end goes on once the hook has returned.
    if (!this.hooks.isInside(session.id)) await finished
  }

  /**
   * The host session of a session is gone from its store: its pages are disconnected, it is unloaded now, and it ends
   * after a grace period that counts from the expiry.
   * @param ago how many milliseconds ago that was
   */
  expire(session: Session, ago: number): void {
    if (session.ended !== undefined) return
    debug('%s has lost its host session', session.id)
    session.audience?.part('expired')
    const endIn = Math.max(this.#config.gracePeriod - ago, 0)
    this.#background(this.#engine.expire(session.token, session.id, endIn))
  }

  /** Ends everything; the second call gives the first one's promise. @param timeout in milliseconds */
  close(timeout: number): Promise<CloseReport> {
    this.#report ??= this.#close(timeout)
    return this.#report
  }

  stats(): SessionStats {
    return this.#sessions.stats()
  }

  #admitLater(
    token: string,
    holder: Holder,
    isFresh: boolean,
    answer: Promise<Life | undefined>,
    create?: { info: () => unknown },
  ): Promise<Visit | undefined> {
    return this.#arrivals.answered(token, isFresh, answer, (life, isOver) => {
      if (this.closing) throw closed()
      return isOver ? this.#again(token, holder, create) : this.#admit(token, holder, life, create)
    })
  }

  #makeRoom(): void {
    const isAwaited = ({ token }: Session) => this.#arrivals.has(token)
    const inTheWay = this.#sessions.inTheWay(this.#arrivals.fresh, isAwaited)
    if (inTheWay !== undefined) void this.end(inTheWay, 'evicted')
  }

  /** The life that was found has ended before it could be entered: what comes after it is asked for. */
  #again(token: string, { kind }: Holder, create?: { info: () => unknown }): MaybePromise<Visit | undefined> {
    return create === undefined ? this.enter(token, kind) : this.enter(token, kind, create)
  }

  #admit(
    token: string,
    holder: Holder,
    life: Life | undefined,
    create?: { info: () => unknown },
  ): Visit | undefined {
    if (life === undefined) return undefined
    const known = this.#sessions.findById(life.id)
    const session = known ?? this.#begin(token, life.id, create?.info)
    session.holders++
    if (holder.kind === 'page') {
      session.pages++
      session.hadPage = true
    }
    session.returned ||= known !== undefined || session.hadPage
    this.#sessions.noteOpen(session, true)
    const visit = new Visit(session, holder, (visit, leaving) => this.#leave(visit, leaving))
    if (life.phase === 'new') this.#runLoad(session)
    else if (life.phase === 'returned') this.#reload(session)
    else if (life.phase === 'unloading') visit.ready = this.#afterUnload(session, visit)
    return visit
  }

  #leave({ session, holder }: Visit, { abrupt = false, awaitPage = false }: Leaving): void {
    session.holders--
    if (holder.kind === 'page') session.pages--
    if (session.ended !== undefined) {
      session.noteAnswers()
      return
    }
    if (session.holders === 0) this.#sessions.noteOpen(session, false)
    this.#background(
      this.#engine.release(session.token, holder, {
        unloadIn: this.#config.unloadDelay + (abrupt ? RECONNECT : 0),
        endIn: this.#config.gracePeriod,
        ...(awaitPage && { awaitPage: PAGE_LOAD }),
      }),
    )
  }

  #begin(token: string, id: string, info: (() => unknown) | undefined): Session {
    let noted: unknown
    if (info !== undefined) {
      void this.hooks.call({ source: 'info', session: id }, () => {
        noted = info()
      })
    }
    const createdAt = new Date(this.#config.clock.wall())
    const directory = this.#config.directoryOf(id)
    const session = new Session(token, { id, info: noted, createdAt, directory }, this.states, this.#values)
    this.#sessions.add(session)
    debug('%s begins', id)
    return session
  }

  #reload(session: Session): void {
    session.loaded = true
    session.load = new Load(session.load.serial + 1)
    this.#runLoad(session)
  }

  #runLoad(session: Session): void {
    const key = `${session.id}:load:${session.load.serial}`
    if (this.hooks.load.size > 0) void session.afterHooks(() => this.hooks.runLoad(session.view, key))
  }

  /**
   * Who arrives while the unload hooks run waits for them, at most one time limit; then the engine is asked again
   * whether this is the arrival that makes the session loaded.
   */
  #afterUnload(session: Session, visit: Visit): Promise<unknown> {
    return this.deadlines.within(this.#reopen(session, visit), this.#config.hookTimeout)
  }

  async #reopen(session: Session, visit: Visit): Promise<void> {
    const { holder } = visit
    try {
      for (;;) {
        await session.unloading
        if (visit.left || session.ended !== undefined) return
        const life = await this.#engine.open(session.token, holder, this.#arrival(holder.kind, false))
        if (life?.id === session.id && life.phase === 'returned') this.#reload(session)
        if (life?.phase !== 'unloading') return
        // A shared engine's claim, which this node has not heard of yet, or which another one works on.
        await this.deadlines.pause(ASK_AGAIN)
      }
    } catch (error) {
      this.hooks.report(error, { source: 'engine', session: session.id })
    }
  }

  #arrival(kind: Holder['kind'], create: boolean): { create: boolean; unloadIn: number } {
    return { create, unloadIn: kind === 'page' ? 0 : this.#config.unloadDelay }
  }

  #due(claim: Claim, settle: () => Promise<void>): void {
    const session = this.#sessions.findById(claim.life)
    if (session === undefined) void settle()
    else if (claim.phase === 'end') void this.#finish(session, claim.reason).then(settle)
    else session.unloading = this.#gate.run(() => this.#unload(session, claim.reason)).then(settle)
  }

  async #unload(session: Session, reason: EndReason): Promise<void> {
    // An end that overtook a claimed unload has done it.
    if (!session.loaded) return
    this.#markUnloaded(session, reason)
    const key = `${session.id}:unload:${session.load.serial}`
    await session.afterHooks(() => this.hooks.runLeave('unload', session.view, key, reason))
  }

  #markUnloaded(session: Session, reason: EndReason): void {
    session.loaded = false
    session.load.end()
    debug('%s is unloaded: %s', session.id, reason)
  }

  #finish(session: Session, reason: EndReason): Promise<void> {
    if (session.finished !== undefined) return session.finished
    session.ended = reason
    // Set before anything of the app's runs: a listener of the signal may end the session again.
    session.finished = Promise.resolve().then(() => this.#gate.run(() => this.#delete(session, reason)))
    void session.finished.finally(() => this.#sessions.forget(session))
    this.#arrivals.noteEnd(session.token, session.id)
    this.#sessions.end(session, reason)
    debug('%s ends: %s', session.id, reason)
    session.load.end()
    for (const farewell of session.farewells) farewell(reason)
    session.audience?.part(reason)
    if (reason === 'disconnected' && !session.hadPage && !this.#saidNoPage) {
      this.#saidNoPage = true
      warnOfNoPage()
    }
    return session.finished
  }

  async #delete(session: Session, reason: EndReason): Promise<void> {
    const { unload, ended } = this.hooks
    // Promises are most of the work of a storm of ends, so those that nobody needs are not made.
    if (unload.size > 0) await this.#unload(session, reason)
    else this.#markUnloaded(session, reason)
    if (session.hooksRunning !== undefined) await session.hooksRunning
    const deleted = session.values.deleteAll(reason)
    if (deleted !== undefined) await deleted
    if (ended.size > 0) await this.hooks.runLeave('ended', session.view, `${session.id}:ended`, reason)
    for (const epilogue of session.epilogues) {
      await epilogue().catch(error => this.hooks.report(error, { source: 'files', session: session.id }))
    }
  }

  async #close(timeout: number): Promise<CloseReport> {
    this.closing = true
    const outran: ErrorContext[] = []
    this.hooks.timedOut = outran
    for (const session of this.all()) void this.end(session, 'shutdown')
    const all = Promise.all(this.#sessions.ending.map(session => session.finished))
    await this.deadlines.within(all, timeout)
    this.hooks.timedOut = undefined
    const unfinished = this.#sessions.ending.map(session => ({
      source: 'session' as const,
      session: session.id,
    }))
    await this.#engine.close()
    return { timedOut: [...outran, ...unfinished] }
  }

  /** What the engine does by itself is waited for by nobody, so its failure has to be reported here. */
  #background(work: MaybePromise<unknown>): void {
    if (isThenable(work)) work.then(undefined, error => this.hooks.report(error, { source: 'engine' }))
  }
}

export function closed(): GradioStateError {
  return new GradioStateError('CLOSED', 'Expected gradioState() to be running, but close() was called.')
}

/** How many sessions are unloaded or ended at once. */
const PARALLEL_SESSIONS = 256
/** How many values that outlived their time have their callbacks running at once. */
const PARALLEL_VALUES = 256
/** How soon a shared engine is asked again whether an unload is over. */
const ASK_AGAIN = 100
/** How long after a socket broke its page may take to come back: measured redials take less than a second. */
const RECONNECT = 1_500
/** How long a page may take from the end of its HTML until its script connects. */
const PAGE_LOAD = 30_000
