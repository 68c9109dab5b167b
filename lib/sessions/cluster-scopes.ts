import type { ClaimWorker } from './claim-worker.js'
import type { ClusterShares } from './cluster-shares.js'
import type { Admission, Coordinator } from './coordinator.js'
import type { PendingEntries } from './pending-entries.js'
import type { Session } from './session.js'

/** What the scopes need from their node. */
export interface ScopesContext {
  readonly coordinator: Coordinator
  readonly worker: ClaimWorker
  readonly shares: ClusterShares
  readonly pendingEntries: PendingEntries
  /** Takes over the state that the cluster has answered. */
  adopt(scope: Session, admission: Admission): void
  /** Reschedules the session's next deadline. */
  arm(session: Session): void
}

/** Unloads and loads the scopes of sessions with their sessions. */
export class ClusterScopes {
  readonly #context: ScopesContext

  constructor(context: ScopesContext) {
    this.#context = context
  }

  /** This node doesn't keep the session loaded any more, so it doesn't keep its scopes loaded either. */
  unload(session: Session): void {
    for (const scope of session.scopes?.usable ?? []) {
      const { presence } = scope
      if (!presence.keepsLoaded || presence.pendingEntries > 0) continue
      presence.keepsLoaded = false
      void this.#context.shares.report(scope)
    }
  }

  /** The session was loaded again: loads those of its scopes in which entries wait for that. */
  loadAgain(session: Session): void {
    for (const scope of session.scopes?.usable ?? [])
      if (scope.presence.waiting > 0) void this.#enterAgain(scope)
  }

  /** The cluster has let an entry into a scope whose session has ended here: undoes that. */
  async leave(scope: Session, { phase }: Admission): Promise<void> {
    const { coordinator, shares, worker } = this.#context
    // With this reason, the scope ends only if no other node keeps it.
    const claim = await coordinator.end(shares.of(scope), 'evicted')
    if (claim === undefined) return
    if (phase === 'new') await coordinator.complete(claim)
    else worker.start(claim)
  }

  async #enterAgain(scope: Session): Promise<void> {
    const { coordinator, shares, pendingEntries } = this.#context
    const { answered } = pendingEntries.add(scope.token, scope, false)
    const proposal = shares.proposal(scope.token, scope.id, scope)
    // If the cluster is unavailable, its answer about the share says whether the scope is loaded.
    const admission = await coordinator.enter(proposal, { kind: 'request' }, false).catch(() => undefined)
    answered()
    if (admission?.id === scope.id && scope.ended === undefined) this.#context.adopt(scope, admission)
    this.#context.arm(scope)
  }
}
