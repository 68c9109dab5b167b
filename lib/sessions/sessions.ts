import { randomBytes, randomUUID } from 'node:crypto'
import createDebug from 'debug'
import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../errors.js'
import type { Clock } from '../util/clock.js'
import { flat } from '../util/detach-string.js'
import { Limiter } from '../util/limiter.js'
import { Deadlines, type DueSource } from '../util/scheduler.js'
import { TimerWheel } from '../util/timer-wheel.js'
import type { ErrorContext } from './events.js'
import { Hooks } from './hooks.js'
import { type EndWork, Lifecycle } from './lifecycle.js'
import { LocalSharedValues } from './local-shared-values.js'
import { type Departure, type EntryKind, Presence } from './presence.js'
import type { Reason } from './reason.js'
import { SessionTable } from './registry.js'
import type { CloseReport, SessionStats } from './reports.js'
import { Entry, Session, type SessionContext, type SessionDue, type SessionOrigin } from './session.js'
import type { SharedOwner } from './session-access.js'
import type { SharedValueStore, ValueClaim } from './shared-value-store.js'
import { SharedAccess } from './shared-values.js'
import { StateRegistry } from './value-definition.js'

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

/** Who comes to a session. */
export interface Visiting {
  readonly kind: EntryKind
  /** The id of a page, by which other nodes know it too. */
  readonly page?: string
}

/** What a session is begun with. */
export interface Beginning {
  readonly info: (() => unknown) | undefined
}

/** What is added where several processes share their sessions. */
export interface Cluster {
  readonly isShared: boolean
  /** 32 random bytes that all nodes know and nobody else does. */
  readonly secret: Buffer
  /** Whether visitors wait for the cluster's answer: what they begin can't be found yet. */
  readonly isEntering: boolean
  /** Whether a visitor to the session of that token has to wait for the cluster's answer, by {@link enter}. */
  mustAsk(token: string): boolean
  /** As {@link Sessions.enter}, for who can wait. */
  enter(token: string, visiting: Visiting, beginning: Beginning): Promise<Entry>
  enter(token: string, visiting: Visiting): Promise<Entry | undefined>
  /** Another node may have that page: it is told that the page says goodbye. Resolves with whether one has. */
  goodbye(token: string, page: string, epoch: number | undefined): Promise<boolean>
}

/** The sessions of this process: who enters and leaves, and what is due of them. */
export class Sessions implements DueSource {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly states = new StateRegistry()
  readonly shared: SharedAccess
  /** Set where other processes may have parts of the same sessions. */
  readonly cluster: Cluster | undefined
  /** Whether `close()` was called: nothing new is let in. */
  closing = false
  protected readonly config: SessionsConfig
  protected readonly context: SessionContext
  protected readonly registry: SessionTable
  protected readonly lifecycle: Lifecycle
  readonly #wheel = new TimerWheel<SessionDue>()
  readonly #sharedValues: LocalSharedValues
  readonly #secret = randomBytes(32)
  #report: Promise<CloseReport> | undefined

  /** @param store where shared values are, if not in this process alone */
  constructor(config: SessionsConfig, store?: SharedValueStore) {
    this.config = config
    this.registry = new SessionTable(config.maxSessions)
    this.deadlines = new Deadlines(config.clock)
    this.hooks = new Hooks(this.deadlines, config.hookTimeout)
    // Not the lifecycle's: an end, which has a place there, waits for the callbacks of values that time took.
    const limiter = new Limiter(PARALLEL_VALUES)
    this.#sharedValues = new LocalSharedValues(
      this.deadlines,
      token => this.registry.find(token),
      (session, claim) => session.values.track(limiter.run(() => this.release(claim, session))),
    )
    this.shared = new SharedAccess(store ?? this.#sharedValues, this.hooks, this.states, (claim, session) =>
      this.release(claim, session),
    )
    this.context = {
      states: this.states,
      values: { deadlines: this.deadlines, hooks: this.hooks, limiter, process: randomUUID().slice(0, 8) },
      directoryOf: config.directoryOf,
      leave: (session, entry, departure) => this.leave(session, entry, departure),
      returned: session => this.registry.place(session),
    }
    const { deadlines, hooks, shared } = this
    this.lifecycle = new Lifecycle({ deadlines, hooks, shared, sessions: this.registry })
    deadlines.add(this)
  }

  /** Whether other processes may have parts of the same sessions. */
  get isShared(): boolean {
    return this.cluster?.isShared ?? false
  }

  /** What marks the tokens and tickets of this process, or of all nodes. */
  get secret(): Buffer {
    return this.cluster?.secret ?? this.#secret
  }

  /** The session of a token, if it has one here. Free of effects. */
  find(token: string): Session | undefined {
    return this.registry.find(token)
  }

  findById(id: string): Session | undefined {
    return this.registry.findById(id)
  }

  all(): Session[] {
    return this.registry.all()
  }

  /**
   * Somebody enters the session of `token`. Without `beginning`, `undefined` where there is none. The entry counts from now
   * on; its `ready` has to be awaited before the visitor goes on.
   */
  enter(token: string, visiting: Visiting, beginning: Beginning): Entry
  enter(token: string, visiting: Visiting, beginning?: Beginning): Entry | undefined
  enter(token: string, { kind, page }: Visiting, beginning?: Beginning): Entry | undefined {
    if (this.closing) throw closed()
    const known = this.registry.find(token)
    if (known === undefined && beginning === undefined) return undefined
    const session = known ?? this.#begin(token, beginning)
    const { presence } = session
    const entry = new Entry(session, kind, page && flat(page))
    const loads = presence.enter(entry, this.deadlines.now)
    this.registry.place(session)
    if (known !== undefined) session.noteReturn()
    if (known === undefined || loads) this.lifecycle.load(session)
    // At most one time limit, should unload hooks wait for others.
    const { unloading } = session
    if (entry.waits && unloading) entry.ready = this.deadlines.within(unloading, this.config.hookTimeout)
    this.#arm(session)
    return entry
  }

  /** Ends a session now; resolves when all its callbacks have run. */
  async end(session: Session, reason: Reason): Promise<void> {
    const finished = session.finished ?? this.#end(session, reason)
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
    debug('%s has lost its framework session', session.id)
    session.audience?.part('expired')
    session.presence.expire(this.deadlines.now, Math.max(this.config.gracePeriod - ago, 0))
    this.#arm(session)
  }

  /** Ends everything; the second call gives the first one's promise. @param timeout in milliseconds */
  close(timeout: number): Promise<CloseReport> {
    this.closing = true
    this.#report ??= this.shutDown(timeout)
    return this.#report
  }

  stats(): SessionStats {
    return this.registry.stats()
  }

  /** While there is no room to work it off, nothing is due; the limiter tells when that changes. */
  nextDue(): number | undefined {
    if (this.lifecycle.limiter.free === 0) return undefined
    return this.#wheel.next()
  }

  work(limit: number): void {
    const most = Math.min(limit, this.lifecycle.limiter.free)
    this.#wheel.expire(this.deadlines.now, most, ({ session }) => this.#due(session))
  }

  #begin(token: string, beginning: Beginning | undefined): Session {
    const inTheWay = this.registry.inTheWay(0, () => false)
    if (inTheWay !== undefined) void this.end(inTheWay, 'evicted')
    return this.begin(flat(token), flat(uuid()), this.config.clock.wall(), beginning)
  }

  protected begin(token: string, id: string, createdAt: number, beginning: Beginning | undefined): Session {
    let noted: unknown
    const info = beginning?.info
    if (info !== undefined) {
      this.hooks.callHere({ source: 'info', session: id }, () => {
        noted = info()
        return noted
      })
    }
    const session = this.make({ token, id, createdAt, info: noted })
    this.registry.add(session)
    debug('%s begins', id)
    return session
  }

  protected make(origin: SessionOrigin): Session {
    return new Session(origin, new Presence(this.config), this.context)
  }

  protected leave(session: Session, entry: Entry, departure: Departure): void {
    session.presence.leave(entry, departure, this.deadlines.now)
    if (session.ended !== undefined) {
      session.noteAnswers()
      return
    }
    if (session.presence.here === 0) this.registry.place(session)
    this.#arm(session)
  }

  #arm(session: Session): void {
    const { due } = session.presence
    this.#wheel.schedule(session.due, due)
    if (due !== Number.POSITIVE_INFINITY) this.deadlines.wake()
  }

  #due(session: Session): void {
    const { presence } = session
    presence.stopKeeping(this.deadlines.now)
    if (!presence.keepsState) {
      void this.#end(session, presence.reason)
      return
    }
    if (!presence.keepsLoaded && presence.phase === 'loaded') this.#unload(session)
    else this.#arm(session)
  }

  #unload(session: Session): void {
    const { presence } = session
    presence.beginUnload()
    const running = this.lifecycle.unload(session, presence.load, presence.reason)
    if (running === undefined) {
      this.#unloaded(session)
    } else {
      this.lifecycle.limiter.hold(running)
      session.unloading = running.then(() => this.#unloaded(session))
    }
    // A listener of the signal may end the session, or enter it.
    session.endLoad()
  }

  #unloaded(session: Session): void {
    session.unloading = undefined
    if (session.ended !== undefined) return
    if (session.presence.completeUnload(this.deadlines.now)) this.lifecycle.load(session)
    this.#arm(session)
  }

  #end(session: Session, reason: Reason): Promise<void> {
    const { presence } = session
    this.#wheel.cancel(session.due)
    const work: EndWork = {
      load: presence.load,
      isLoaded: presence.phase !== 'unloaded',
      hadPage: presence.everHadPage,
      sharedValues: this.#sharedValues.end(session),
    }
    return this.lifecycle.end(session, reason, work)
  }

  /** Tells the callback of a shared value that it was deleted. Never rejects. */
  protected release(claim: ValueClaim, session: SharedOwner): Promise<void> {
    return this.shared.release(session, claim, claim.reason)
  }

  protected async shutDown(timeout: number): Promise<CloseReport> {
    const outran: ErrorContext[] = []
    this.hooks.timedOut = outran
    for (const session of this.all()) void this.end(session, 'shutdown')
    const all = Promise.all(this.registry.ending.map(session => session.finished))
    await this.deadlines.within(all, timeout)
    this.hooks.timedOut = undefined
    const unfinished = this.registry.ending.map(({ id }) => ({ source: 'session' as const, session: id }))
    return { timedOut: [...outran, ...unfinished] }
  }
}

export function closed(): GradioStateError {
  return new GradioStateError('CLOSED', 'Expected gradioState() to be running, but close() was called.')
}

/** How many values that outlived their time have their callbacks running at once. */
const PARALLEL_VALUES = 256
