import { randomBytes, randomUUID } from 'node:crypto'
import { closed } from '../errors.js'
import type { Events } from '../events.js'
import type { ErrorContext, Reason } from '../types.js'
import type { Clock } from '../util/clock.js'
import { Limiter } from '../util/limiter.js'
import { Deadlines, type DueSource } from '../util/scheduler.js'
import { TimerWheel } from '../util/timer-wheel.js'
import { ClusterNode, type ClusterNodeContext } from './cluster-node.js'
import type { Coordinator } from './coordinator.js'
import type { EntryInit, LeaveOptions, SessionEntry, SessionInit } from './entry.js'
import { Hooks } from './hooks.js'
import { Lifecycle } from './lifecycle.js'
import { LocalSharedValues } from './local-shared-values.js'
import { LocalWorker, type LocalWorkerContext } from './local-worker.js'
import { MissingPages, type RoutePaths } from './missing-pages.js'
import { SessionRegistry } from './registry.js'
import type { CloseReport } from './reports.js'
import type { Session, SessionContext, SessionDue } from './session.js'
import { Entry } from './session-entry.js'
import { SessionStarter } from './session-starter.js'
import { SharedAccess } from './shared-values.js'
import { StateRegistry } from './value-definition.js'

/** The configuration of an instance's sessions. Durations are in milliseconds. */
export interface SessionsConfig {
  readonly clock: Clock
  readonly events: Events
  readonly gracePeriod: number
  readonly unloadDelay: number
  readonly hookTimeout: number
  readonly maxSessions: number
  /** Of each session. */
  readonly maxScopes: number
  /** `pathOf` returns the path of a session's directory, which need not exist. */
  readonly cache: { pathOf(id: string): string }
  readonly mountPaths: RoutePaths
  /** The options that all nodes of a cluster need to have the same, as text. */
  readonly agreedOptions: Readonly<Record<string, string>>
}

/** The sessions of this process: lets pages and requests enter and leave, and does what is due. */
export class Sessions implements DueSource {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly states = new StateRegistry()
  readonly shared: SharedAccess
  /** Set if other processes share the sessions. */
  readonly cluster: ClusterNode | undefined
  /** Whether `close()` was called: then nothing can enter. */
  closing = false
  readonly #config: SessionsConfig
  readonly #context: SessionContext
  readonly #registry: SessionRegistry
  readonly #lifecycle: Lifecycle
  readonly #missingPages: MissingPages
  readonly #starter: SessionStarter
  readonly #wheel = new TimerWheel<SessionDue>()
  readonly #sharedValues: LocalSharedValues
  readonly #worker: ClusterNode | LocalWorker
  readonly #secret = randomBytes(32)
  #report: Promise<CloseReport> | undefined

  /** @param coordinator set if other processes share the sessions */
  constructor(config: SessionsConfig, coordinator?: Coordinator) {
    this.#config = config
    this.#registry = new SessionRegistry(config.maxSessions, ending => this.#lifecycle.warnOfSlowEnds(ending))
    this.deadlines = new Deadlines(config.clock)
    this.hooks = new Hooks(this.deadlines, config.hookTimeout, config.events)
    // Not the lifecycle's limiter: an end, which occupies it, waits for the callbacks of expired values.
    const limiter = new Limiter(MAX_PARALLEL_CALLBACKS)
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
      directoryOf: id => config.cache.pathOf(id),
      leave: (session, entry, options) => this.#leave(session, entry, options),
      returned: session => this.#registry.updateEviction(session),
      cleanupAdded: session => this.#registry.noteCleanup(session),
    }
    const { deadlines, hooks, shared } = this
    const registry = this.#registry
    const missingPages = new MissingPages(deadlines, config.mountPaths)
    this.#missingPages = missingPages
    this.#lifecycle = new Lifecycle({
      ...{ deadlines, hooks, shared, sessions: registry, missingPages },
      endScope: (scope, reason) => {
        if (reason === 'shutdown') this.#worker.shutDown(scope)
        else void this.#worker.end(scope, reason)
      },
    })
    this.#starter = new SessionStarter({
      ...{ config, hooks, registry, session: this.#context },
      pendingEntries: () => this.cluster?.pendingEntries,
      end: (session, reason) => void this.end(session, reason),
    })
    deadlines.add(this)
    const context = this.#workerContext()
    this.cluster = coordinator && new ClusterNode(coordinator, context)
    this.#worker = this.cluster ?? new LocalWorker(context)
    this.cluster?.connect()
  }

  /** Whether other processes share the sessions. */
  get isShared(): boolean {
    return this.cluster !== undefined
  }

  /** The secret that encrypts tickets: that of the cluster, or of this process. */
  get secret(): Buffer {
    return this.cluster?.secret ?? this.#secret
  }

  /** The session or scope of a token, if it exists in this process. Has no side effects. */
  find(token: string): Session | undefined {
    return this.#registry.find(token)
  }

  findById(id: string): Session | undefined {
    return this.#registry.findById(id)
  }

  /** The sessions, without their scopes. */
  all(): Session[] {
    return this.#registry.all()
  }

  /**
   * Enters the session of `token`. Without `sessionInit`, returns `undefined` if there is none. The entry counts from now on. Its
   * `ready` has to be awaited before the page or request continues.
   */
  enter(token: string, init: EntryInit, sessionInit: SessionInit): Entry
  enter(token: string, init: EntryInit, sessionInit?: SessionInit): Entry | undefined
  enter(token: string, init: EntryInit, sessionInit?: SessionInit): Entry | undefined {
    if (this.closing) throw closed()
    const known = this.#registry.find(token)
    if (known === undefined && sessionInit === undefined) return undefined
    const session = known ?? this.#starter.start(token, sessionInit)
    const { presence } = session
    const isReported = this.cluster !== undefined && (init.kind !== 'request' || this.cluster.mustAsk(token))
    const entry = new Entry(session, init)
    const loads = presence.enter(entry, this.deadlines.now)
    this.#noteEntry(entry)
    if (known !== undefined) session.noteReturn()
    const begins = known === undefined && session.parent === undefined
    if (begins || (loads && !isReported)) this.#lifecycle.load(session)
    else if (loads) session.beginLoad()
    if (isReported) this.cluster?.reportEntry(entry, loads, begins)
    // Waits at most one time limit, since unload hooks may wait for other hooks.
    const unloading = session.unloading ?? session.parent?.unloading
    if (entry.isWaiting && unloading) entry.ready = this.deadlines.within(unloading, this.#config.hookTimeout)
    this.#arm(session)
    return entry
  }

  /** Ends a session now. Resolves when all its callbacks have settled. */
  async end(session: Session, reason: Reason): Promise<void> {
    const finished = session.finished ?? this.#worker.end(session, reason)
    // A hook that awaited its own end would wait until its time limit: the end continues when the hook has returned.
    if (!this.#isInside(session.parent ?? session)) await finished
  }

  /**
   * The framework session has expired in its store: disconnects the pages, unloads the session now, and ends it one grace period
   * after the expiry.
   * @param ago how many milliseconds ago it expired
   */
  expire(session: Session, ago: number): void {
    if (session.ended !== undefined) return
    const endIn = Math.max(this.#config.gracePeriod - ago, 0)
    this.#noteExpiry(session, endIn)
    this.cluster?.expire(session, endIn)
  }

  /**
   * Evicts the longest closed session of those that never returned and have cleanups.
   * @param except the id of a session to keep
   */
  evictWithCleanup(except: string): { readonly id: string; readonly ended: Promise<void> } | undefined {
    const session = this.#registry.sessionWithCleanup(except)
    return session && { id: session.id, ended: this.end(session, 'evicted') }
  }

  /** Ends all sessions. Later calls return the same promise. @param timeout in milliseconds */
  close(timeout: number): Promise<CloseReport> {
    this.closing = true
    this.#report ??= this.#shutDown(timeout)
    return this.#report
  }

  /** The sessions of this process, with those that are ending. */
  get registry(): SessionRegistry {
    return this.#registry
  }

  /** Nothing is due while the limiter is full. It wakes the deadlines when it has room again. */
  nextDue(): number | undefined {
    if (this.#lifecycle.limiter.free === 0) return undefined
    return this.#wheel.next()
  }

  work(limit: number): void {
    const most = Math.min(limit, this.#lifecycle.limiter.free)
    this.#wheel.expire(this.deadlines.now, most, ({ session }) => {
      this.#missingPages.deadlinePassed(session)
      this.#worker.stopKeeping(session)
    })
  }

  /** Whether the caller runs inside a hook or callback of the session or of its scopes, whose hooks wait for each other. */
  #isInside(session: Session): boolean {
    return [session, ...(session.scopes?.all ?? [])].some(({ id }) => this.hooks.isInside(id))
  }

  #noteEntry({ kind, session }: Entry): void {
    if (kind === 'page') this.#missingPages.pageConnected()
    this.#registry.updateEviction(session)
  }

  #leave(session: Session, entry: SessionEntry, options: LeaveOptions): void {
    const isReload = session.presence.leave(entry, options, this.deadlines.now)
    if (session.ended !== undefined) {
      session.noteAnswers()
      return
    }
    if (session.presence.entryCount === 0) this.#registry.updateEviction(session)
    this.cluster?.shares.left(session, entry, isReload)
    this.#arm(session)
  }

  #noteExpiry(session: Session, endIn: number): void {
    this.#config.events.sessionExpired(session.id)
    session.pageList?.close('expired')
    session.presence.expire(this.deadlines.now, endIn)
    this.#arm(session)
  }

  #arm(session: Session): void {
    const { due } = session.presence
    this.#wheel.schedule(session.due, due)
    if (due !== Number.POSITIVE_INFINITY) this.deadlines.wake()
  }

  /** What the worker needs. */
  #workerContext(): ClusterNodeContext & LocalWorkerContext {
    const { deadlines, hooks, shared } = this
    return {
      ...{ deadlines, hooks, shared },
      config: this.#config,
      agreedOptions: () => ({ ...this.#config.agreedOptions, ...this.states.agreedOptions() }),
      lifecycle: this.#lifecycle,
      sharedValues: this.#sharedValues,
      find: token => this.find(token),
      findById: id => this.findById(id),
      all: () => this.all(),
      expectOpen: () => {
        if (this.closing) throw closed()
      },
      makeRoom: token => this.#starter.makeRoom(token),
      begin: (...asked) => this.#starter.begin(...asked),
      enter: (...asked) => this.enter(...asked),
      makeRemote: (...asked) => this.#starter.makeRemote(...asked),
      noteEntry: entry => this.#noteEntry(entry),
      arm: session => this.#arm(session),
      noteExpiry: (session, endIn) => this.#noteExpiry(session, endIn),
    }
  }

  async #shutDown(timeout: number): Promise<CloseReport> {
    const timedOut: ErrorContext[] = []
    this.hooks.timedOut = timedOut
    for (const session of this.all()) this.#worker.shutDown(session)
    const all = Promise.all([...this.#registry.ending.map(session => session.finished), this.#worker.idle()])
    await this.deadlines.within(all, timeout)
    this.hooks.timedOut = undefined
    const unfinished = this.#registry.ending.map(({ id }) => ({ source: 'session' as const, session: id }))
    await this.#worker.close()
    return { timedOut: [...timedOut, ...unfinished] }
  }
}

/** How many callbacks of expired values run concurrently. */
const MAX_PARALLEL_CALLBACKS = 256
