import createDebug from 'debug'
import type { Claim, EndReason, Engine, MaybePromise } from '../engines/engine.js'
import type { ValueClaim } from '../engines/shared-values.js'
import { warnOfNoPage } from '../warnings.js'
import { Claims, type IsOurs } from './claims.js'
import type { Deadlines } from './deadlines.js'
import { Gate } from './gate.js'
import type { Hooks } from './hooks.js'
import type { Session } from './session.js'
import type { SessionTable } from './session-table.js'

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
    // Set before anything of the app's runs: a listener of the signal may end the session again.
    session.finished = Promise.resolve(claimed).then(claim =>
      this.#gate.run(async () => {
        const isOurs =
          claim !== undefined &&
          (await this.#claims.hold(claim, isOurs => this.#delete(session, claim, isOurs)))
        if (!isOurs) await this.#deletePart(session, reason)
      }),
    )
    void session.finished.finally(() => sessions.forget(session))
    sessions.end(session, reason)
    debug('%s ends: %s', session.id, reason)
    session.endLoad()
    session.sayFarewell(reason)
    session.audience?.part(reason)
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
      const unloading = this.#gate.run(async () => {
        await this.#claims.hold(claim, isOurs => this.#unload(session, claim, isOurs))
        if (session.finished === undefined) this.#standIns.delete(claim.life)
        if (session.unloading === unloading) session.unloading = undefined
      })
      session.unloading = unloading
    }
  }

  /** The hooks of an end wait for those of an unload that is running, so both have to be of one session. */
  #standIn(claim: Claim): Session {
    const session = this.#standIns.get(claim.life) ?? this.#parts.standIn(claim)
    this.#standIns.set(claim.life, session)
    return session
  }

  async #unload(session: Session, { isLoaded, load, reason }: Claim, isOurs: IsOurs): Promise<void> {
    // Somebody else has done it.
    if (!isLoaded) return
    if (session.loaded || session.loadSerial !== load) {
      this.noteLoad(session, load)
      this.noteUnload(session, reason)
    }
    const key = `${session.id}:unload:${load}`
    await session.afterHooks(async () => {
      // An end that overtook a claimed unload takes its claim: then it has to do what that could not begin any more.
      if (session.unloadsRun >= load || !(await isOurs())) return
      session.unloadsRun = load
      const { hooks } = this.#parts
      if (hooks.unload.size > 0) await hooks.runLeave('unload', session.view, key, reason)
    })
  }

  async #delete(session: Session, claim: Claim, isOurs: IsOurs): Promise<void> {
    const { hooks, releaseAll } = this.#parts
    const { reason } = claim
    session.sharedAtEnd = claim.values
    if (reason === 'disconnected' && !claim.hadPage && !this.#saidNoPage) {
      this.#saidNoPage = true
      warnOfNoPage()
    }
    // Promises are most of the work of a storm of ends, so those that nobody needs are not made.
    if (hooks.unload.size > 0) await this.#unload(session, claim, isOurs)
    await this.#deleteValues(session, reason)
    if (claim.values.length > 0 && (await isOurs())) await releaseAll(session, claim)
    if (hooks.ended.size > 0 && (await isOurs()))
      await hooks.runLeave('ended', session.view, `${session.id}:ended`, reason)
    await this.#deleteFiles(session)
  }

  /** The session has ended elsewhere, or goes on there. */
  async #deletePart(session: Session, reason: EndReason): Promise<void> {
    await this.#deleteValues(session, reason)
    await this.#deleteFiles(session)
  }

  #deleteValues(session: Session, reason: EndReason): void | Promise<void> {
    this.noteUnload(session, reason)
    const running = session.hooksRunning
    return running === undefined
      ? session.values.deleteAll(reason)
      : running.then(() => session.values.deleteAll(reason))
  }

  async #deleteFiles(session: Session): Promise<void> {
    const { hooks } = this.#parts
    for (const epilogue of session.epilogues) {
      await epilogue().catch(error => hooks.report(error, { source: 'files', session: session.id }))
    }
  }
}

/** How many sessions are unloaded or ended at once. */
const PARALLEL_SESSIONS = 256
