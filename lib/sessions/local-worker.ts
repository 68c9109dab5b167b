import type { Reason } from '../types.js'
import type { Deadlines } from '../util/scheduler.js'
import type { Lifecycle } from './lifecycle.js'
import type { LocalSharedValues } from './local-shared-values.js'
import type { Session } from './session.js'
import type { SharedOwner } from './session-access.js'
import type { ValueClaim } from './shared-value-store.js'
import type { SharedAccess } from './shared-values.js'

/** What the worker needs of this process's sessions. */
export interface LocalSite {
  readonly deadlines: Deadlines
  readonly lifecycle: Lifecycle
  readonly shared: SharedAccess
  readonly sharedValues: LocalSharedValues
  /** What is due of a session may have changed. */
  arm(session: Session): void
}

/** Unloads and ends the sessions of a process that shares them with no other. */
export class LocalWorker {
  readonly #site: LocalSite

  constructor(site: LocalSite) {
    this.#site = site
  }

  /** Something is due of the session: nobody else keeps it, so it is unloaded, or ends. */
  stopKeeping(session: Session): void {
    const { presence } = session
    presence.stopKeeping(this.#site.deadlines.now)
    if (!presence.keepsState) void this.end(session, presence.reason)
    else if (!presence.keepsLoaded && presence.phase === 'loaded') this.#unload(session)
    else this.#site.arm(session)
  }

  end(session: Session, reason: Reason): Promise<void> {
    const { load, phase, everHadPage: hadPage } = session.presence
    const sharedValues = this.#site.sharedValues.end(session)
    const work = { load, isLoaded: phase !== 'unloaded', hadPage, sharedValues }
    const finished = this.#site.lifecycle.end(session, reason, work)
    this.#site.arm(session)
    return finished
  }

  /** This process stops. */
  shutDown(session: Session): void {
    void this.end(session, 'shutdown')
  }

  /** Tells the callback of a shared value that it was deleted. Never rejects. */
  release(claim: ValueClaim, session: SharedOwner): Promise<void> {
    return this.#site.shared.release(session, claim, claim.reason)
  }

  /** Resolves when nothing is worked on but ends. */
  async idle(): Promise<void> {}

  async close(): Promise<void> {}

  #unload(session: Session): void {
    const { presence } = session
    const { lifecycle } = this.#site
    presence.beginUnload()
    const running = lifecycle.unload(session, presence.load, presence.reason)
    if (running === undefined) {
      this.#unloaded(session)
    } else {
      lifecycle.limiter.hold(running)
      session.unloading = running.then(() => this.#unloaded(session))
    }
    // A listener of the signal may end the session, or enter it.
    session.endLoad()
  }

  #unloaded(session: Session): void {
    session.unloading = undefined
    if (session.ended !== undefined) return
    const { deadlines, lifecycle, arm } = this.#site
    if (session.presence.completeUnload(deadlines.now)) lifecycle.load(session)
    arm(session)
  }
}
