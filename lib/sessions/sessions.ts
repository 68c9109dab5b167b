import { randomUUID } from 'node:crypto'
import createDebug from 'debug'
import { GradioStateError } from '../errors.js'
import type { Clock } from '../util/clock.js'
import { flat } from '../util/detach-string.js'
import { Gate } from '../util/limiter.js'
import { Deadlines } from '../util/scheduler.js'
import { isThenable } from '../util/thenable.js'
import { Arrivals } from './arrivals.js'
import type {
  Arrival,
  Claim,
  Departure,
  EndReason,
  Engine,
  EngineEvents,
  Holder,
  Life,
  MaybePromise,
} from './engine.js'
import type { ErrorContext } from './events.js'
import { Hooks } from './hooks.js'
import { Lifecycle } from './lifecycle.js'
import { SessionTable } from './registry.js'
import type { CloseReport, SessionStats } from './reports.js'
import { type Leaving, Session, type SessionContext } from './session.js'
import { SharedAccess } from './shared-values.js'
import { StateRegistry } from './value-definition.js'
import { Visit } from './visit.js'

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

/** Who comes to a session, and how. */
export interface Visiting {
  readonly kind: Holder['kind']
  /** The id of a page, by which other nodes know it too. */
  readonly page?: string
  /** The visitor can't wait for an engine that answers later. */
  readonly atOnce?: boolean
}

/** What a session is begun with. */
export interface Beginning {
  readonly info: (() => unknown) | undefined
}

/** Keeps the sessions of this process: who is here is the engine's to know, what follows from it is decided here. */
export class Manager {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly states = new StateRegistry()
  readonly shared: SharedAccess
  /** Whether `close()` was called: nothing new is let in. */
  closing = false
  readonly #config: ManagerConfig
  readonly #engine: Engine
  readonly #context: SessionContext
  readonly #sessions: SessionTable
  readonly #lifecycle: Lifecycle
  readonly #arrivals = new Arrivals()
  #holders = 0
  #report: Promise<CloseReport> | undefined

  constructor(config: ManagerConfig, engine: Engine) {
    this.#config = config
    this.#sessions = new SessionTable(config.maxSessions)
    this.#engine = engine
    this.deadlines = new Deadlines(config.clock)
    this.hooks = new Hooks(this.deadlines, config.hookTimeout)
    // Not the sessions' own gate: an end, which has a place there, waits for the callbacks of values that time took.
    const gate = new Gate(PARALLEL_VALUES, () => {})
    this.#lifecycle = new Lifecycle({
      engine,
      deadlines: this.deadlines,
      hooks: this.hooks,
      sessions: this.#sessions,
      standIn: claim => this.#standIn(claim),
      release: claim =>
        this.shared.release(this.findById(claim.life) ?? this.#standIn(claim), claim, claim.reason),
      releaseAll: (session, { values, reason }) => this.shared.releaseAll(session, values, reason),
    })
    this.shared = new SharedAccess(engine, this.hooks, this.states, claim => this.#lifecycle.release(claim))
    const values = { deadlines: this.deadlines, hooks: this.hooks, gate, process: randomUUID().slice(0, 8) }
    const { directoryOf } = config
    this.#context = {
      states: this.states,
      shared: this.shared,
      values,
      directoryOf,
      leave: (session, visitor, leaving) => this.#leave(session, visitor, leaving),
      returned: session => this.#sessions.place(session),
    }
    this.#background(engine.start(this.#events(), { clock: config.clock, departure: this.#departure(true) }))
  }

  /** Whether other processes may hold the same sessions. */
  get isShared(): boolean {
    return this.#engine.isShared
  }

  /** Whether visitors wait for an engine that answers later: what they begin can't be found yet. */
  get expectsSessions(): boolean {
    return this.#arrivals.any
  }

  /** What all nodes know, and nobody else. */
  get secret(): Buffer {
    return this.#engine.secret
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
  enter(token: string, visiting: Visiting, create: Beginning): MaybePromise<Visit>
  enter(token: string, visiting: Visiting): MaybePromise<Visit | undefined>
  enter(token: string, visiting: Visiting, create?: Beginning): MaybePromise<Visit | undefined> {
    if (this.closing) throw closed()
    const isKnown = this.#sessions.has(token)
    const isFresh = create !== undefined && !isKnown && !this.#arrivals.isFresh(token)
    if (isFresh) this.#makeRoom()
    // A session that begins here keeps it.
    const kept = isKnown ? token : flat(token)
    const visit = new Visit(this.#idOf(visiting), visiting.kind)
    const arrival = this.#arrival(visit.kind, create !== undefined, visiting.atOnce)
    const life = this.#engine.open(kept, visit, arrival)
    if (isThenable(life)) return this.#admitLater(kept, visit, isFresh, life, create)
    return this.#admit(kept, visit, life, create)
  }

  /** Ends a session now; resolves when all its callbacks have run. */
  async end(session: Session, reason: EndReason): Promise<void> {
    const finished = session.finished ?? this.#finish(session, reason, this.#claimEnd(session, reason))
    // Waiting for oneself would only end by the time limit: the end goes on once the hook has returned.
    if (!this.hooks.isInside(session.id)) await finished
  }

  /** Another node may hold that page: it is told that the page says goodbye. Resolves with whether one does. */
  goodbye(token: string, page: string, epoch: number | undefined): MaybePromise<boolean> {
    return this.#engine.goodbye(token, page, epoch)
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

  /** The ids of pages have to differ on all nodes. */
  #idOf({ kind, page }: Visiting): string {
    return kind === 'page' ? flat(page ?? randomUUID()) : String(++this.#holders)
  }

  #admitLater(
    token: string,
    visit: Visit,
    isFresh: boolean,
    answer: Promise<Life | undefined>,
    create?: Beginning,
  ): Promise<Visit | undefined> {
    return this.#arrivals.answered(token, isFresh, answer, (life, isOver) => {
      if (this.closing) throw closed()
      return isOver ? this.#again(token, visit, create) : this.#admit(token, visit, life, create)
    })
  }

  #makeRoom(): void {
    const isAwaited = ({ token }: Session) => this.#arrivals.has(token)
    const inTheWay = this.#sessions.inTheWay(this.#arrivals.fresh, isAwaited)
    if (inTheWay !== undefined) void this.end(inTheWay, 'evicted')
  }

  /** The life that was found has ended before it could be entered: what comes after it is asked for. */
  #again(token: string, { kind, id }: Visit, create?: Beginning): MaybePromise<Visit | undefined> {
    const visiting: Visiting = kind === 'page' ? { kind, page: id } : { kind }
    return create === undefined ? this.enter(token, visiting) : this.enter(token, visiting, create)
  }

  #admit(token: string, visit: Visit, life: Life | undefined, create?: Beginning): Visit | undefined {
    if (life === undefined) return undefined
    const known = this.#sessions.findById(life.id)
    const session = known ?? this.#begin(token, life, create)
    session.pagesElsewhere = life.pagesElsewhere
    session.holders++
    if (visit.kind === 'page') session.pages++
    this.#sessions.place(session)
    // Another node may have begun it.
    if (known !== undefined || life.phase !== 'new') session.noteReturn()
    visit.begin(session)
    if (life.phase === 'unloading') visit.ready = this.#afterUnload(session, visit)
    else this.#load(session, life)
    return visit
  }

  #load(session: Session, { phase, load }: Life): void {
    if (phase === 'new') this.#lifecycle.runLoad(session)
    else if (phase === 'returned') this.#lifecycle.load(session, load)
    else this.#lifecycle.noteLoad(session, load)
  }

  #leave(session: Session, visitor: Holder, { abrupt = false, awaitPage = false }: Leaving): void {
    session.holders--
    if (visitor.kind === 'page') session.pages--
    if (session.ended !== undefined) {
      session.noteAnswers()
      return
    }
    if (session.holders === 0) this.#sessions.place(session)
    const left = this.#departure(abrupt, !session.values.isEmpty)
    const departure = awaitPage ? { ...left, awaitPage: PAGE_LOAD } : left
    this.#background(this.#engine.release(session.token, visitor, departure))
  }

  #begin(token: string, life: Life, create: Beginning | undefined): Session {
    let noted: unknown
    const info = create?.info
    if (info !== undefined) {
      void this.hooks.call({ source: 'info', session: life.id }, () => {
        noted = info()
      })
    }
    const { id, createdAt, load } = life
    const session = new Session({ token, id, createdAt, info: noted }, load, this.#context)
    this.#sessions.add(session)
    debug('%s begins', life.id)
    return session
  }

  /** A session that doesn't live here, as far as a claim knows it. */
  #standIn({ token, life, createdAt }: Pick<Claim, 'token' | 'life' | 'createdAt'>): Session {
    return new Session({ token, id: life, createdAt, info: undefined }, 1, this.#context)
  }

  /**
   * Who arrives while the unload hooks run waits for them, at most one time limit; then the engine is asked again
   * whether this is the arrival that makes the session loaded.
   */
  #afterUnload(session: Session, visit: Visit): Promise<unknown> {
    return this.deadlines.within(this.#reopen(session, visit), this.#config.hookTimeout)
  }

  async #reopen(session: Session, visit: Visit): Promise<void> {
    try {
      for (;;) {
        await session.unloading
        if (visit.left || session.ended !== undefined) return
        const life = await this.#engine.open(session.token, visit, this.#arrival(visit.kind, false))
        if (life?.phase !== 'unloading') {
          if (life?.id === session.id) this.#load(session, life)
          return
        }
        // A shared engine's claim, which this node has not heard of yet, or which another one works on.
        await this.deadlines.pause(ASK_AGAIN)
      }
    } catch (error) {
      this.hooks.report(error, { source: 'engine', session: session.id })
    }
  }

  #arrival(kind: Holder['kind'], create: boolean, atOnce = false): Arrival {
    return { create, unloadIn: kind === 'page' ? 0 : this.#config.unloadDelay, atOnce }
  }

  /** @param abrupt whether a socket broke, so that its page may come back */
  #departure(abrupt: boolean, hasValues = false): Departure {
    const { unloadDelay, gracePeriod } = this.#config
    return { unloadIn: unloadDelay + (abrupt ? RECONNECT : 0), endIn: gracePeriod, hasValues }
  }

  /** What the engine tells by itself. */
  #events(): EngineEvents {
    // What comes to another node comes back.
    const ofReturned = (life: string, tell: (session: Session) => void) =>
      of(life, session => {
        session.noteReturn()
        tell(session)
      })
    const of = (life: string, tell: (session: Session) => void) => {
      const session = this.#sessions.findById(life)
      if (session !== undefined) tell(session)
    }
    return {
      wake: () => this.deadlines.wake(),
      gone: (token, life, reason) => {
        this.#arrivals.noteEnd(token, life)
        of(life, session => void this.#finish(session, reason, undefined))
      },
      unloaded: (life, reason) => of(life, session => this.#lifecycle.noteUnload(session, reason)),
      returned: (life, load) => of(life, session => this.#lifecycle.load(session, load)),
      expired: life => of(life, session => session.audience?.part('expired')),
      moved: (life, page) => ofReturned(life, session => session.audience?.find(page)?.leave()),
      goodbye: (life, page, epoch) =>
        ofReturned(life, session => session.audience?.find(page)?.goodbye(epoch)),
      problem: error => this.hooks.report(error, { source: 'engine' }),
    }
  }

  async #claimEnd(session: Session, reason: EndReason): Promise<Claim | undefined> {
    try {
      return await this.#engine.end(session.token, session.id, reason)
    } catch (error) {
      this.hooks.report(error, { source: 'engine', session: session.id })
      return undefined
    }
  }

  #finish(session: Session, reason: EndReason, claimed: MaybePromise<Claim | undefined>): Promise<void> {
    this.#arrivals.noteEnd(session.token, session.id)
    return this.#lifecycle.finish(session, reason, claimed)
  }

  async #close(timeout: number): Promise<CloseReport> {
    this.closing = true
    const outran: ErrorContext[] = []
    this.hooks.timedOut = outran
    for (const session of this.all()) {
      // What other nodes may go on with is not ended here.
      if (this.isShared) void this.#finish(session, 'shutdown', undefined)
      else void this.end(session, 'shutdown')
    }
    const all = Promise.all([
      ...this.#sessions.ending.map(session => session.finished),
      this.#lifecycle.idle(),
    ])
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

/** How many values that outlived their time have their callbacks running at once. */
const PARALLEL_VALUES = 256
/** How soon a shared engine is asked again whether an unload is over. */
const ASK_AGAIN = 100
/** How long after a socket broke its page may take to come back: measured redials take less than a second. */
const RECONNECT = 1_500
/** How long a page may take from the end of its HTML until its script connects. */
const PAGE_LOAD = 30_000
