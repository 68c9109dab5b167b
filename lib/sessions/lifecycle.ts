import createDebug from 'debug'
import type { Reason } from '../types.js'
import { Limiter } from '../util/limiter.js'
import type { Deadlines } from '../util/scheduler.js'
import { warnOfNoPage } from '../warnings.js'
import type { Hooks } from './hooks.js'
import type { SessionTable } from './registry.js'
import type { Session } from './session.js'
import type { SharedValue } from './shared-value-store.js'
import type { SharedAccess } from './shared-values.js'

const debug = createDebug('gradio-state:session')

/** What the lifecycle works with. */
export interface LifecycleParts {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly sessions: SessionTable
  readonly shared: SharedAccess
}

/** What the end of a session asks for beside deleting what this process has of it. */
export interface EndWork {
  readonly load: number
  /** Whether the unload hooks have to run, unless they have been begun here. */
  readonly isLoaded: boolean
  /** Whether a page ever connected. */
  readonly hadPage: boolean
  /** The shared values that end with the session. */
  readonly sharedValues: readonly SharedValue[]
}

/** Whether work is still this process's to do: another one may have taken it over. */
export type IsOurs = () => Promise<boolean>

/** Loads, unloads and ends sessions: runs what the app has asked for, in its order, and once. */
export class Lifecycle {
  /** Bounds how many sessions are unloaded or ended at once. */
  readonly limiter: Limiter
  readonly #parts: LifecycleParts
  #saidNoPage = false

  constructor(parts: LifecycleParts) {
    this.#parts = parts
    this.limiter = new Limiter(PARALLEL_SESSIONS, () => parts.deadlines.wake())
  }

  /** The session is loaded, and its load hooks are this process's to run. */
  load(session: Session): void {
    session.beginLoad()
    this.runLoadHooks(session, session.presence.load)
  }

  /** The hooks of a load that may be over already. */
  runLoadHooks(session: Session, load: number): void {
    const { hooks } = this.#parts
    if (hooks.load.size === 0) return
    const key = `${session.id}:load:${load}`
    void session.afterHooks(() => hooks.runLoad(session.view, key))
  }

  /**
   * The session is unloaded: runs its unload hooks, after those that are running, and not before the next microtask.
   * @returns `undefined` where there is nothing to wait for
   */
  unload(session: Session, load: number, reason: Reason, isOurs: IsOurs = ALWAYS): Promise<void> | undefined {
    const { hooks } = this.#parts
    debug('%s is unloaded: %s', session.id, reason)
    if (hooks.unload.size === 0 && session.hooksRunning === undefined) {
      session.unloadsRun = Math.max(session.unloadsRun, load)
      return undefined
    }
    return this.#runUnload(session, load, reason, isOurs)
  }

  /**
   * Ends the session in this process; resolves when its last callback has run.
   * @param finish what is done once there is room, if {@link finish} isn't all
   */
  end(session: Session, reason: Reason, work: EndWork, finish?: () => Promise<void>): Promise<void> {
    if (session.finished !== undefined) return session.finished
    const { sessions } = this.#parts
    session.ended = reason
    let settle = () => {}
    // Set before anything of the app's runs: a listener of the signal may end the session again.
    session.finished = new Promise(resolve => {
      settle = resolve
    })
    session.presence.end()
    sessions.end(session, reason)
    debug('%s ends: %s', session.id, reason)
    session.endLoad()
    session.tellEnd(reason)
    session.audience?.part(reason)
    const over = () => {
      sessions.forget(session)
      settle()
    }
    if (finish === undefined && this.#isPlain(session, work)) {
      this.#warnOfNoPage(reason, work)
      session.values.clear()
      over()
    } else {
      void this.limiter.run(finish ?? (() => this.finish(session, reason, work))).then(over)
    }
    return session.finished
  }

  /** The hooks, callbacks and files of an end. Never rejects. */
  async finish(session: Session, reason: Reason, work: EndWork, isOurs: IsOurs = ALWAYS): Promise<void> {
    const { hooks, shared } = this.#parts
    const { load, sharedValues } = work
    session.sharedAtEnd = sharedValues
    this.#warnOfNoPage(reason, work)
    if (work.isLoaded && hooks.unload.size > 0) await this.#runUnload(session, load, reason, isOurs)
    await this.#deleteValues(session, reason)
    if (sharedValues.length > 0 && (await isOurs())) await shared.releaseAll(session, sharedValues, reason)
    if (hooks.ended.size > 0 && (await isOurs()))
      await hooks.runLeave('ended', session.view, `${session.id}:ended`, reason)
    await this.#cleanUp(session)
  }

  /** Deletes what this process has of a session whose end is another one's to do. Never rejects. */
  async finishPart(session: Session, reason: Reason): Promise<void> {
    await this.#deleteValues(session, reason)
    await this.#cleanUp(session)
  }

  /** Whether no function of the app has to be called or is running, and no file is there: most sessions of most apps. */
  #isPlain(session: Session, { isLoaded, sharedValues }: EndWork): boolean {
    const { unload, ended } = this.#parts.hooks
    const hasHooks = ended.size > 0 || (isLoaded && unload.size > 0) || session.hooksRunning !== undefined
    return (
      !hasHooks && sharedValues.length === 0 && !session.values.hasCallbacks && session.cleanups.length === 0
    )
  }

  #runUnload(session: Session, load: number, reason: Reason, isOurs: IsOurs): Promise<void> {
    const { hooks } = this.#parts
    return session.afterHooks(async () => {
      // An end that overtook a claimed unload takes its claim: then it has to do what that could not begin any more.
      if (session.unloadsRun >= load || !(await isOurs())) return
      session.unloadsRun = load
      await hooks.runLeave('unload', session.view, `${session.id}:unload:${load}`, reason)
    })
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
        this.#parts.hooks.report(error, { source: 'files', session: session.id })
      }
    }
  }

  #warnOfNoPage(reason: Reason, { hadPage }: EndWork): void {
    if (reason !== 'disconnected' || hadPage || this.#saidNoPage) return
    this.#saidNoPage = true
    this.#parts.deadlines.context.run(warnOfNoPage)
  }
}

const ALWAYS: IsOurs = async () => true
/** How many sessions are unloaded or ended at once. */
const PARALLEL_SESSIONS = 256
