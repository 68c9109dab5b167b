import type { Reason } from '../types.js'
import type { Deadlines } from '../util/scheduler.js'
import type { Lifecycle } from './lifecycle.js'
import type { LocalSharedValues } from './local-shared-values.js'
import type { Scopes } from './scopes.js'
import type { Session } from './session.js'
import type { SharedOwner } from './session-access.js'
import type { ValueClaim } from './shared-value-store.js'
import type { SharedAccess } from './shared-values.js'

/** What the worker needs from this process's sessions. */
export interface LocalWorkerContext {
  readonly deadlines: Deadlines
  readonly lifecycle: Lifecycle
  readonly shared: SharedAccess
  readonly sharedValues: LocalSharedValues
  /** Reschedules the session's next deadline. */
  arm(session: Session): void
}

/** Unloads and ends the sessions of a process without a cluster. */
export class LocalWorker {
  readonly #context: LocalWorkerContext

  constructor(context: LocalWorkerContext) {
    this.#context = context
  }

  /** A deadline of the session has passed: unloads or ends it. */
  stopKeeping(session: Session): void {
    const { presence } = session
    presence.stopKeeping(this.#context.deadlines.now)
    if (!presence.keepsState) void this.end(session, presence.reason)
    else if (!presence.keepsLoaded && presence.phase === 'loaded') this.#unload(session)
    else this.#context.arm(session)
  }

  end(session: Session, reason: Reason): Promise<void> {
    const { load, phase, everHadPage: hadPage } = session.presence
    const sharedValues = this.#context.sharedValues.end(session)
    const work = { load, isLoaded: phase !== 'unloaded', hadPage, sharedValues }
    const finished = this.#context.lifecycle.end(session, reason, work)
    this.#context.arm(session)
    return finished
  }

  /** The process stops. */
  shutDown(session: Session): void {
    void this.end(session, 'shutdown')
  }

  /** Runs the delete callback of a shared value. Never rejects. */
  release(claim: ValueClaim, session: SharedOwner): Promise<void> {
    return this.#context.shared.release(session, claim, claim.reason)
  }

  /** Without a cluster, only ends are in progress, which the caller awaits. */
  async idle(): Promise<void> {}

  async close(): Promise<void> {}

  #unload(session: Session): void {
    const { presence, scopes } = session
    presence.beginUnload()
    const inScopes = scopes && this.#unloadScopes(scopes, presence.reason)
    // Until the hooks of the scopes have run. Without a slot of the limiter: scopes that have ended need their own slots.
    const running =
      inScopes === undefined ? this.#runHooks(session) : inScopes.then(() => this.#runHooks(session))
    if (running === undefined) this.#unloaded(session)
    else session.unloading = running.then(() => this.#unloaded(session))
    // After the state change, since a listener of the signal may end the session, or enter it.
    for (const scope of scopes?.usable ?? []) scope.endLoad()
    session.endLoad()
  }

  #runHooks(session: Session): Promise<void> | undefined {
    const { lifecycle } = this.#context
    // The end runs them, after those of the scopes that have ended with it.
    if (session.ended !== undefined) return undefined
    const { load, reason } = session.presence
    const running = lifecycle.unload(session, load, reason)
    if (running !== undefined) lifecycle.limiter.occupy(running)
    return running
  }

  /**
   * Unloads the scopes of a session that unloads. They are unloading until its own hooks have run, so that nothing loads them before.
   * Those that have ended may still run hooks, or wait for that.
   * @returns `undefined` if there is nothing to await
   */
  #unloadScopes(scopes: Scopes<Session>, reason: Reason): Promise<unknown> | undefined {
    const { lifecycle } = this.#context
    const unloads = scopes.usable.flatMap(scope => {
      const { phase, load } = scope.presence
      scope.presence.beginUnload()
      return (phase === 'loaded' ? lifecycle.unload(scope, load, reason) : scope.hooksRunning) ?? []
    })
    if (unloads.length === 0) return scopes.finished && scopes.allFinished()
    const unloaded = Promise.all(unloads).then(() => {})
    lifecycle.limiter.occupy(unloaded)
    return unloaded.then(() => scopes.allFinished())
  }

  #unloaded(session: Session): void {
    session.unloading = undefined
    if (session.ended !== undefined || session.parent?.presence.phase === 'unloading') return
    const { deadlines, lifecycle, arm } = this.#context
    if (session.presence.completeUnload(deadlines.now)) lifecycle.load(session)
    arm(session)
    for (const scope of session.scopes?.usable ?? []) this.#unloaded(scope)
  }
}
