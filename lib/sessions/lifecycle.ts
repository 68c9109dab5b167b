import type { Reason } from '../types.js'
import { Limiter } from '../util/limiter.js'
import type { Deadlines } from '../util/scheduler.js'
import { warnOfSlowCallbacks } from '../warnings.js'
import type { Hooks } from './hooks.js'
import type { MissingPages } from './missing-pages.js'
import type { SessionRegistry } from './registry.js'
import type { Session } from './session.js'
import type { SharedValue } from './shared-value-store.js'
import type { SharedAccess } from './shared-values.js'

/** What the lifecycle needs from this process's sessions. */
export interface LifecycleContext {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly sessions: SessionRegistry
  readonly shared: SharedAccess
  readonly missingPages: MissingPages
  /** Ends a scope whose session has ended. */
  endScope(scope: Session, reason: Reason): void
}

/** The work at the end of a session, in addition to deleting its local part. */
export interface EndWork {
  readonly load: number
  /** Whether the unload hooks have to run, unless this process has started them already. */
  readonly isLoaded: boolean
  /** Whether a page ever connected. */
  readonly hadPage: boolean
  /** The shared values that end with the session. */
  readonly sharedValues: readonly SharedValue[]
}

/** Whether this process still has to do the work: in a cluster, another node may have taken it over. */
export type IsOurs = () => Promise<boolean>

/** Loads, unloads and ends sessions: runs the app's hooks and callbacks in order, each once. */
export class Lifecycle {
  /** Bounds how many sessions are unloaded or ended concurrently. */
  readonly limiter: Limiter
  readonly #context: LifecycleContext
  #hasWarnedOfSlowEnds = false

  constructor(context: LifecycleContext) {
    this.#context = context
    this.limiter = new Limiter(MAX_PARALLEL_SESSIONS, () => context.deadlines.wake())
  }

  /** The session was loaded, and this process has to run its load hooks. */
  load(session: Session): void {
    session.beginLoad()
    this.runLoadHooks(session, session.presence.load)
  }

  /** Runs the load hooks, even if the session has been unloaded since. */
  runLoadHooks(session: Session, load: number): void {
    const { hooks } = this.#context
    hooks.events.sessionLoaded(session)
    if (hooks.load.of(session).size === 0) return
    const key = `${session.id}:load:${load}`
    const parentLoads = session.parent?.hooksRunning
    if (parentLoads !== undefined) void session.afterHooks(() => parentLoads)
    void session.afterHooks(() => hooks.runLoad(session.view, key))
  }

  /**
   * Runs the unload hooks of a session, after the hooks that are running, and not before the next microtask.
   * @returns `undefined` if there is nothing to await
   */
  unload(session: Session, load: number, reason: Reason, isOurs: IsOurs = ALWAYS): Promise<void> | undefined {
    const { hooks } = this.#context
    if (hooks.unload.of(session).size === 0 && session.hooksRunning === undefined) {
      this.#noteUnload(session, load, reason)
      return undefined
    }
    return this.#runUnload(session, load, reason, isOurs)
  }

  /**
   * Ends the session in this process. Resolves when its last callback has settled.
   * @param finish replaces {@link finish}; runs when the limiter has a free slot
   */
  end(session: Session, reason: Reason, work: EndWork, finish?: () => Promise<void>): Promise<void> {
    if (session.finished !== undefined) return session.finished
    const { hooks, sessions, missingPages } = this.#context
    session.ended = reason
    let settle = () => {}
    // Set before any function of the app runs: a listener of the signal may end the session again.
    session.finished = new Promise(resolve => {
      settle = resolve
    })
    session.presence.end()
    sessions.end(session, reason)
    hooks.events.sessionEnded(session, reason)
    for (const scope of session.scopes?.usable ?? []) this.#context.endScope(scope, reason)
    session.endLoad()
    session.notifyEnd(reason)
    session.pageList?.close(reason)
    const over = () => {
      sessions.forget(session)
      settle()
    }
    const scopesFinished = session.scopes?.finished
    if (finish === undefined && scopesFinished === undefined && this.#isPlain(session, work)) {
      missingPages.sessionEnded(session, reason, work.hadPage)
      if (work.isLoaded) this.#noteUnload(session, work.load, reason)
      session.values.clear(reason)
      over()
      return session.finished
    }
    const run = () => this.limiter.run(finish ?? (() => this.finish(session, reason, work)))
    // Without a slot of the limiter: the scopes need their own slots.
    void (scopesFinished === undefined ? run() : scopesFinished.then(run)).then(over)
    return session.finished
  }

  /** Runs the hooks and callbacks of an end, and deletes the files. Never rejects. */
  async finish(session: Session, reason: Reason, work: EndWork, isOurs: IsOurs = ALWAYS): Promise<void> {
    const { hooks, shared, missingPages } = this.#context
    const { load, hadPage, sharedValues } = work
    session.sharedAtEnd = sharedValues
    missingPages.sessionEnded(session, reason, hadPage)
    if (work.isLoaded && hooks.unload.of(session).size > 0)
      await this.#runUnload(session, load, reason, isOurs)
    else if (work.isLoaded) this.#noteUnload(session, load, reason)
    await this.#deleteValues(session, reason)
    if (sharedValues.length > 0 && (await isOurs())) await shared.releaseAll(session, sharedValues, reason)
    if (hooks.ended.of(session).size > 0 && (await isOurs()))
      await hooks.runLeave('ended', session.view, `${session.id}:ended`, reason)
    await this.#cleanUp(session)
  }

  /** Deletes the local part of a session whose hooks another node runs. Never rejects. */
  async finishLocally(session: Session, reason: Reason): Promise<void> {
    await this.#deleteValues(session, reason)
    await this.#cleanUp(session)
  }

  /** Sessions are evicted faster than their callbacks run. @param ending how many are ending */
  warnOfSlowEnds(ending: number): void {
    if (this.#hasWarnedOfSlowEnds) return
    this.#hasWarnedOfSlowEnds = true
    const { deadlines, hooks } = this.#context
    deadlines.context.run(() => warnOfSlowCallbacks(ending, hooks.busiest))
  }

  /** Whether the session can end synchronously, as most do: it has no files, and no hook or callback has to run or is running. */
  #isPlain(session: Session, { isLoaded, sharedValues }: EndWork): boolean {
    const { unload, ended } = this.#context.hooks
    const hasHooks = ended.of(session).size > 0 || (isLoaded && unload.of(session).size > 0)
    const hasCallbacks = sharedValues.length > 0 || session.values.hasCallbacks
    return !hasHooks && !hasCallbacks && session.hooksRunning === undefined && session.cleanups.length === 0
  }

  #runUnload(session: Session, load: number, reason: Reason, isOurs: IsOurs): Promise<void> {
    const { hooks } = this.#context
    return session.afterHooks(async () => {
      // If the session has ended before a claimed unload ran, the end has taken over the claim and runs the unload hooks.
      if (session.unloadsRun >= load || !(await isOurs())) return
      this.#noteUnload(session, load, reason)
      await hooks.runLeave('unload', session.view, `${session.id}:unload:${load}`, reason)
    })
  }

  #noteUnload(session: Session, load: number, reason: Reason): void {
    if (session.unloadsRun >= load) return
    session.unloadsRun = load
    this.#context.hooks.events.sessionUnloaded(session, reason)
  }

  async #deleteValues(session: Session, reason: Reason): Promise<void> {
    await session.hooksRunning
    await session.values.deleteAll(reason)
  }

  async #cleanUp(session: Session): Promise<void> {
    for (const cleanup of session.cleanups) {
      try {
        await cleanup()
      } catch (error) {
        this.#context.hooks.report(error, { source: 'files', session: session.id })
      }
    }
  }
}

const ALWAYS: IsOurs = async () => true
/** How many sessions are unloaded or ended concurrently. */
const MAX_PARALLEL_SESSIONS = 256
