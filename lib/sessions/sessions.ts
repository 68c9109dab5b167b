import { randomBytes, randomUUID } from 'node:crypto'
import createDebug from 'debug'
import { v4 as uuid } from 'uuid'
import { closed } from '../errors.js'
import type { ErrorContext, Reason } from '../types.js'
import type { Clock } from '../util/clock.js'
import { flat } from '../util/detach-string.js'
import { Limiter } from '../util/limiter.js'
import { Deadlines, type DueSource } from '../util/scheduler.js'
import { TimerWheel } from '../util/timer-wheel.js'
import { ClusterNode, type NodeSite } from './cluster-node.js'
import type { Coordinator } from './coordinator.js'
import { Hooks } from './hooks.js'
import { Lifecycle } from './lifecycle.js'
import { LocalSharedValues } from './local-shared-values.js'
import { type LocalSite, LocalWorker } from './local-worker.js'
import { Presence } from './presence.js'
import { SessionTable } from './registry.js'
import type { CloseReport, SessionStats } from './reports.js'
import { Entry, Session, type SessionContext, type SessionDue, type SessionOrigin } from './session.js'
import { SharedAccess } from './shared-values.js'
import { StateRegistry } from './value-definition.js'
import type { Beginning, Departure, Visiting } from './visit.js'

const debug = createDebug('gradio-state:session')

/** What the sessions of an instance are set up with; durations in milliseconds. */
export interface SessionsConfig {
  readonly clock: Clock
  readonly gracePeriod: number
  readonly unloadDelay: number
  readonly hookTimeout: number
  readonly maxSessions: number
  /** Where the directory of a session is, or would be. */
  readonly directoryOf: (id: string) => string
}

/** The sessions of this process: who enters and leaves, and what is due of them. */
export class Sessions implements DueSource {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly states = new StateRegistry()
  readonly shared: SharedAccess
  /** Set where other processes may have parts of the same sessions. */
  readonly cluster: ClusterNode | undefined
  /** Whether `close()` was called: nothing new is let in. */
  closing = false
  readonly #config: SessionsConfig
  readonly #context: SessionContext
  readonly #registry: SessionTable
  readonly #lifecycle: Lifecycle
  readonly #wheel = new TimerWheel<SessionDue>()
  readonly #sharedValues: LocalSharedValues
  readonly #worker: ClusterNode | LocalWorker
  readonly #secret = randomBytes(32)
  #report: Promise<CloseReport> | undefined

  /** @param coordinator set where other processes may have parts of the same sessions */
  constructor(config: SessionsConfig, coordinator?: Coordinator) {
    this.#config = config
    this.#registry = new SessionTable(config.maxSessions)
    this.deadlines = new Deadlines(config.clock)
    this.hooks = new Hooks(this.deadlines, config.hookTimeout)
    // Not the lifecycle's: an end, which has a place there, waits for the callbacks of values that time took.
    const limiter = new Limiter(PARALLEL_VALUES)
    this.#sharedValues = new LocalSharedValues(
      this.deadlines,
      token => this.#registry.find(token),
      (session, claim) => session.values.track(limiter.run(() => this.#worker.release(claim, session))),
    )
    this.shared = new SharedAccess(
      coordinator?.values ?? this.#sharedValues,
      this.hooks,
      this.states,
      (claim, session) => this.#worker.release(claim, session),
    )
    this.#context = {
      states: this.states,
      values: { deadlines: this.deadlines, hooks: this.hooks, limiter, process: randomUUID().slice(0, 8) },
      directoryOf: config.directoryOf,
      leave: (session, entry, departure) => this.#leave(session, entry, departure),
      returned: session => this.#registry.place(session),
    }
    const { deadlines, hooks, shared } = this
    this.#lifecycle = new Lifecycle({ deadlines, hooks, shared, sessions: this.#registry })
    deadlines.add(this)
    const site = this.#site()
    this.cluster = coordinator && new ClusterNode(coordinator, site)
    this.#worker = this.cluster ?? new LocalWorker(site)
    this.cluster?.connect()
  }

  /** Whether other processes may have parts of the same sessions. */
  get isShared(): boolean {
    return this.cluster !== undefined
  }

  /** What marks the tokens and tickets of this process, or of all nodes. */
  get secret(): Buffer {
    return this.cluster?.secret ?? this.#secret
  }

  /** The session of a token, if it has one here. Free of effects. */
  find(token: string): Session | undefined {
    return this.#registry.find(token)
  }

  findById(id: string): Session | undefined {
    return this.#registry.findById(id)
  }

  all(): Session[] {
    return this.#registry.all()
  }

  /**
   * Somebody enters the session of `token`. Without `beginning`, `undefined` where there is none. The entry counts from now
   * on; its `ready` has to be awaited before the visitor goes on.
   */
  enter(token: string, visiting: Visiting, beginning: Beginning): Entry
  enter(token: string, visiting: Visiting, beginning?: Beginning): Entry | undefined
  enter(token: string, { kind, page }: Visiting, beginning?: Beginning): Entry | undefined {
    if (this.closing) throw closed()
    const known = this.#registry.find(token)
    if (known === undefined && beginning === undefined) return undefined
    const session = known ?? this.#beginHere(token, beginning)
    const { presence } = session
    const isTold = this.cluster !== undefined && (kind !== 'request' || this.cluster.mustAsk(token))
    const entry = new Entry(session, kind, page && flat(page))
    const loads = presence.enter(entry, this.deadlines.now)
    this.#registry.place(session)
    if (known !== undefined) session.noteReturn()
    if (known === undefined || (loads && !isTold)) this.#lifecycle.load(session)
    else if (loads) session.beginLoad()
    if (isTold) this.cluster?.tell(entry, loads, known === undefined)
    // At most one time limit, should unload hooks wait for others.
    const { unloading } = session
    if (entry.waits && unloading) entry.ready = this.deadlines.within(unloading, this.#config.hookTimeout)
    this.#arm(session)
    return entry
  }

  /** Ends a session now; resolves when all its callbacks have run. */
  async end(session: Session, reason: Reason): Promise<void> {
    const finished = session.finished ?? this.#worker.end(session, reason)
    // Waiting for oneself would only end by the time limit: the end goes on once the hook has returned.
    if (!this.hooks.isInside(session.id)) await finished
  }

  /**
   * The framework session of a session is gone from its store: its pages are disconnected, it is unloaded now, and it ends
   * after a grace period that counts from the expiry.
   * @param ago how many milliseconds ago that was
   */
  expire(session: Session, ago: number): void {
    if (session.ended !== undefined) return
    const endIn = Math.max(this.#config.gracePeriod - ago, 0)
    this.#noteExpiry(session, endIn)
    this.cluster?.expire(session, endIn)
  }

  /** Ends everything; the second call gives the first one's promise. @param timeout in milliseconds */
  close(timeout: number): Promise<CloseReport> {
    this.closing = true
    this.#report ??= this.#shutDown(timeout)
    return this.#report
  }

  stats(): SessionStats {
    return this.#registry.stats()
  }

  /** While there is no room to work it off, nothing is due; the limiter tells when that changes. */
  nextDue(): number | undefined {
    if (this.#lifecycle.limiter.free === 0) return undefined
    return this.#wheel.next()
  }

  work(limit: number): void {
    const most = Math.min(limit, this.#lifecycle.limiter.free)
    this.#wheel.expire(this.deadlines.now, most, ({ session }) => this.#worker.stopKeeping(session))
  }

  #beginHere(token: string, beginning: Beginning | undefined): Session {
    const arrivals = this.cluster?.arrivals
    if (!arrivals?.mayBegin(token)) this.#makeRoom()
    const id = arrivals?.proposedId(token) ?? flat(uuid())
    return this.#begin(flat(token), id, this.#config.clock.wall(), beginning)
  }

  #makeRoom(): void {
    const inTheWay = this.#registry.inTheWay(this.cluster?.arrivals.beginning ?? 0)
    if (inTheWay !== undefined) void this.end(inTheWay, 'evicted')
  }

  #begin(token: string, id: string, createdAt: number, beginning: Beginning | undefined): Session {
    let noted: unknown
    const info = beginning?.info
    if (info !== undefined) {
      this.hooks.callHere({ source: 'info', session: id }, () => {
        noted = info()
        return noted
      })
    }
    const session = this.#make({ token, id, createdAt, info: noted })
    this.#registry.add(session)
    this.cluster?.arrivals.begun(session)
    debug('%s begins', id)
    return session
  }

  #make(origin: SessionOrigin): Session {
    return new Session(origin, new Presence(this.#config), this.#context)
  }

  /** This process keeps nothing of it. */
  #foreign(origin: SessionOrigin): Session {
    const session = this.#make(origin)
    session.presence.keepsLoaded = session.presence.keepsState = false
    return session
  }

  #leave(session: Session, entry: Entry, departure: Departure): void {
    const isReload = session.presence.leave(entry, departure, this.deadlines.now)
    if (session.ended !== undefined) {
      session.noteAnswers()
      return
    }
    if (session.presence.here === 0) this.#registry.place(session)
    this.cluster?.shares.left(session, entry, isReload)
    this.#arm(session)
  }

  #noteExpiry(session: Session, endIn: number): void {
    debug('%s has lost its framework session', session.id)
    session.audience?.part('expired')
    session.presence.expire(this.deadlines.now, endIn)
    this.#arm(session)
  }

  #arm(session: Session): void {
    const { due } = session.presence
    this.#wheel.schedule(session.due, due)
    if (due !== Number.POSITIVE_INFINITY) this.deadlines.wake()
  }

  /** What the worker works with. */
  #site(): NodeSite & LocalSite {
    const { deadlines, hooks, shared } = this
    return {
      ...{ deadlines, hooks, shared },
      config: this.#config,
      lifecycle: this.#lifecycle,
      sharedValues: this.#sharedValues,
      find: token => this.find(token),
      findById: id => this.findById(id),
      all: () => this.all(),
      expectOpen: () => {
        if (this.closing) throw closed()
      },
      makeRoom: () => this.#makeRoom(),
      begin: (...asked) => this.#begin(...asked),
      enter: (...asked) => this.enter(...asked),
      foreign: (token, id, createdAt) => this.#foreign({ token, id, createdAt, info: undefined }),
      place: session => this.#registry.place(session),
      arm: session => this.#arm(session),
      noteExpiry: (session, endIn) => this.#noteExpiry(session, endIn),
    }
  }

  async #shutDown(timeout: number): Promise<CloseReport> {
    const outran: ErrorContext[] = []
    this.hooks.timedOut = outran
    for (const session of this.all()) this.#worker.shutDown(session)
    const all = Promise.all([...this.#registry.ending.map(session => session.finished), this.#worker.idle()])
    await this.deadlines.within(all, timeout)
    this.hooks.timedOut = undefined
    const unfinished = this.#registry.ending.map(({ id }) => ({ source: 'session' as const, session: id }))
    await this.#worker.close()
    return { timedOut: [...outran, ...unfinished] }
  }
}

/** How many values that outlived their time have their callbacks running at once. */
const PARALLEL_VALUES = 256
