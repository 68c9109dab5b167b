import createDebug from 'debug'
import { Gate } from '../util/limiter.js'
import type { Deadlines } from '../util/scheduler.js'
import { after, inOrder, isThenable } from '../util/thenable.js'
import { warnOfNoPage } from '../warnings.js'
import { Claims, type IsOurs } from './claim-worker.js'
import type { Claim, EndReason, Engine, MaybePromise } from './engine.js'
import type { Hooks } from './hooks.js'
import type { SessionTable } from './registry.js'
import type { Session } from './session.js'
import type { ValueClaim } from './shared-value-store.js'

const debug = createDebug('gradio-state:session')

/** What the lifecycle works with. */
export interface LifecycleParts {
  readonly engine: Engine
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly sessions: SessionTable
  /** A session that does not live here, for whose hooks this node has to stand in. */
  readonly standIn: (claim: Claim) => Session
  /** Tells the callback of a shared value that it was deleted. Never rejects. */
  readonly release: (claim: ValueClaim) => Promise<void>
  /** Tells the callbacks of all shared values that end with a session. Never rejects. */
  readonly releaseAll: (session: Session, claim: Claim) => Promise<void>
}

/** Loads, unloads and ends sessions: runs what the app has asked for, in its order, and once. */
export class Lifecycle {
  readonly #parts: LifecycleParts
  readonly #gate: Gate
  readonly #claims: Claims
  /** Those that don't live here, while hooks run for them. */
  readonly #standIns = new Map<string, Session>()
  #saidNoPage = false

  constructor(parts: LifecycleParts) {
    this.#parts = parts
    const { engine, deadlines, hooks } = parts
    this.#gate = new Gate(PARALLEL_SESSIONS, () => deadlines.wake())
    this.#claims = new Claims(engine, this.#gate, hooks, deadlines, claim => this.#due(claim))
    deadlines.add(this.#claims)
  }

  /** The session is loaded, by an arrival here. */
  load(session: Session, serial: number): void {
    this.noteLoad(session, serial)
    this.runLoad(session)
  }

  runLoad(session: Session): void {
    const { hooks } = this.#parts
    if (hooks.load.size === 0) return
    const key = `${session.id}:load:${session.loadSerial}`
    void session.afterHooks(() => hooks.runLoad(session.view, key))
  }

  /** The session is loaded, by whomever: the node that did it has run the hooks. */
  noteLoad(session: Session, serial: number): void {
    if (!session.loaded || session.loadSerial !== serial) session.beginLoad(serial)
  }

  /** The session is unloaded, by whomever. */
  noteUnload(session: Session, reason: EndReason): void {
    if (!session.loaded) return
    session.loaded = false
    session.endLoad()
    debug('%s is unloaded: %s', session.id, reason)
  }

  /**
   * Ends what there is of the session in this process; resolves when its last callback has run.
   * @param claimed what else the end asks for, if that is this node's to do
   */
  finish(session: Session, reason: EndReason, claimed: MaybePromise<Claim | undefined>): Promise<void> {
    if (session.finished !== undefined) return session.finished
    const { sessions } = this.#parts
    session.ended = reason
    let settle = () => {}
    // Set before anything of the app's runs: a listener of the signal may end the session again.
    session.finished = new Promise(resolve => {
      settle = resolve
    })
    sessions.end(session, reason)
    debug('%s ends: %s', session.id, reason)
    session.endLoad()
    session.sayFarewell(reason)
    session.audience?.part(reason)
    const work = (claim: Claim | undefined) => this.#gate.run(() => this.#endInPlace(session, reason, claim))
    // Who has no claim was told in the midst of something else, which comes first.
    const ending =
      claimed === undefined || isThenable(claimed) ? Promise.resolve(claimed).then(work) : work(claimed)
    void after(ending, () => {
      sessions.forget(session)
      settle()
    })
    return session.finished
  }

  /** Tells the callback of a shared value that it was deleted, and settles the claim. Never rejects. */
  async release(claim: ValueClaim): Promise<void> {
    await this.#claims.hold(claim, () => this.#parts.release(claim))
  }

  /** Resolves when no claim of a shared engine is being worked on. */
  idle(): Promise<void> {
    return this.#claims.idle()
  }

  #due(claim: Claim | ValueClaim): void {
    if (claim.phase === 'value') {
      void this.#gate.run(() => this.release(claim))
      return
    }
    const session = this.#parts.sessions.findById(claim.life) ?? this.#standIn(claim)
    if (claim.phase === 'end') {
      const finished = this.finish(session, claim.reason, claim)
      if (this.#standIns.has(claim.life)) void finished.finally(() => this.#standIns.delete(claim.life))
    } else {
      const unloading = this.#gate.run(() =>
        after(
          this.#claims.hold(claim, isOurs => this.#unload(session, claim, isOurs)),
          () => {
            if (session.finished === undefined) this.#standIns.delete(claim.life)
          },
        ),
      )
      if (unloading === undefined) return
      session.unloading = unloading
      void unloading.then(() => {
        if (session.unloading === unloading) session.unloading = undefined
      })
    }
  }

  /** The hooks of an end wait for those of an unload that is running, so both have to be of one session. */
  #standIn(claim: Claim): Session {
    const session = this.#standIns.get(claim.life) ?? this.#parts.standIn(claim)
    this.#standIns.set(claim.life, session)
    return session
  }

  #unload(session: Session, { isLoaded, load, reason }: Claim, isOurs: IsOurs): void | Promise<void> {
    // Somebody else has done it.
    if (!isLoaded) return
    if (session.loaded || session.loadSerial !== load) {
      this.noteLoad(session, load)
      this.noteUnload(session, reason)
    }
    const { hooks } = this.#parts
    if (hooks.unload.size === 0 && session.hooksRunning === undefined) {
      session.unloadsRun = Math.max(session.unloadsRun, load)
      return
    }
    const key = `${session.id}:unload:${load}`
    return session.afterHooks(async () => {
      // An end that overtook a claimed unload takes its claim: then it has to do what that could not begin any more.
      if (session.unloadsRun >= load || !(await isOurs())) return
      session.unloadsRun = load
      await hooks.runLeave('unload', session.view, key, reason)
    })
  }

  /** What there is of an ended session in this process goes, once it has a place among those that end. */
  #endInPlace(session: Session, reason: EndReason, claim: Claim | undefined): void | Promise<void> {
    const held =
      claim !== undefined && this.#claims.hold(claim, isOurs => this.#delete(session, claim, isOurs))
    return after(held, isOurs => {
      // It has ended elsewhere, or goes on there.
      if (!isOurs) return this.#deletePart(session, reason)
    })
  }

  #delete(session: Session, claim: Claim, isOurs: IsOurs): void | Promise<void> {
    const { hooks, releaseAll } = this.#parts
    const { reason } = claim
    session.sharedAtEnd = claim.values
    if (reason === 'disconnected' && !claim.hadPage && !this.#saidNoPage) {
      this.#saidNoPage = true
      warnOfNoPage()
    }
    return inOrder([
      () => {
        if (hooks.unload.size > 0) return this.#unload(session, claim, isOurs)
      },
      () => this.#deleteValues(session, reason),
      () => {
        if (claim.values.length > 0) return ifTrue(isOurs(), () => releaseAll(session, claim))
      },
      () => {
        if (hooks.ended.size === 0) return
        const key = `${session.id}:ended`
        return ifTrue(isOurs(), () => hooks.runLeave('ended', session.view, key, reason))
      },
      () => this.#deleteFiles(session),
    ])
  }

  #deletePart(session: Session, reason: EndReason): void | Promise<void> {
    return inOrder([() => this.#deleteValues(session, reason), () => this.#deleteFiles(session)])
  }

  #deleteValues(session: Session, reason: EndReason): void | Promise<void> {
    this.noteUnload(session, reason)
    const running = session.hooksRunning
    return running === undefined
      ? session.values.deleteAll(reason)
      : running.then(() => session.values.deleteAll(reason))
  }

  #deleteFiles(session: Session): void | Promise<void> {
    const failed = (error: unknown) =>
      this.#parts.hooks.report(error, { source: 'files', session: session.id })
    return inOrder(session.epilogues.map(epilogue => () => epilogue().catch(failed)))
  }
}

function ifTrue(isTrue: MaybePromise<boolean>, then: () => void | Promise<void>): void | Promise<void> {
  return after(isTrue, isTrue => (isTrue ? then() : undefined))
}

/** How many sessions are unloaded or ended at once. */
const PARALLEL_SESSIONS = 256
