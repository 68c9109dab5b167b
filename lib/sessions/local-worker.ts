import type { Reason } from '../types.js'
import type { Deadlines } from '../util/scheduler.js'
import type { Lifecycle } from './lifecycle.js'
import type { LocalSharedValues } from './local-shared-values.js'
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
    const { lifecycle } = this.#context
    presence.beginUnload()
    const inScopes = scopes && this.#unloadScopes(scopes.all, presence.reason)
    if (inScopes !== undefined) void session.afterHooks(() => inScopes)
    const running = lifecycle.unload(session, presence.load, presence.reason)
    if (running === undefined) {
      this.#unloaded(session)
    } else {
      lifecycle.limiter.occupy(running)
      session.unloading = running.then(() => this.#unloaded(session))
    }
    // After the state change, since a listener of the signal may end the session, or enter it.
    for (const scope of scopes?.usable ?? []) scope.endLoad()
    session.endLoad()
  }

  /**
   * Unloads the scopes of a session that unloads. They are unloading until its own hooks have run, so that nothing loads them before.
   * Those that have ended may still run hooks.
   * @returns `undefined` if there is nothing to await
   */
  #unloadScopes(scopes: readonly Session[], reason: Reason): Promise<void> | undefined {
    const unloads = scopes.map(scope => {
      const { phase, load } = scope.presence
      if (phase === 'ended') return scope.hooksRunning
      scope.presence.beginUnload()
      return phase === 'loaded' ? this.#context.lifecycle.unload(scope, load, reason) : scope.hooksRunning
    })
    return unloads.some(unload => unload !== undefined) ? Promise.all(unloads).then(() => {}) : undefined
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
