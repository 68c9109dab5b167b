import type { Reason } from '../types.js'
import type { Deadlines, DueSource } from '../util/scheduler.js'
import type { Claim, Coordinator, SessionClaim } from './coordinator.js'
import type { IsOurs, Lifecycle } from './lifecycle.js'
import type { Session } from './session.js'
import type { SharedOwner } from './session-access.js'
import type { ValueClaim } from './shared-value-store.js'
import type { SharedAccess } from './shared-values.js'

/** What the worker needs from this process's sessions. */
export interface WorkerContext {
  readonly deadlines: Deadlines
  readonly lifecycle: Lifecycle
  readonly shared: SharedAccess
  findById(id: string): Session | undefined
  /** Makes an object for a session that isn't in this process, for its hooks. */
  makeRemote(token: string, id: string, createdAt: number, parentId?: string): Session
  /** Reschedules the session's next deadline. */
  arm(session: Session): void
}

/** Does the work that the cluster assigns to this node, and claims due work while the limiter has room. */
export class ClaimWorker implements DueSource {
  readonly #coordinator: Coordinator
  readonly #context: WorkerContext
  #dueAt = Number.POSITIVE_INFINITY
  #isAsking = false
  /** The claims in progress, which `close()` waits for. */
  readonly #running = new Set<Promise<boolean>>()
  /** The claims in progress that have to be extended. */
  readonly #worked = new Set<Claim>()
  #stopExtending: (() => void) | undefined
  /** Sessions that aren't in this process, while hooks run for them: so that the hooks of an end wait for those of an unload. */
  readonly #remoteSessions = new Map<string, Session>()
  /** The ids of sessions that end here and wait for their claim, and the claim if the answer to an earlier report has brought it. */
  readonly #ending = new Map<string, SessionClaim | undefined>()

  constructor(coordinator: Coordinator, context: WorkerContext) {
    this.#coordinator = coordinator
    this.#context = context
    context.deadlines.add(this)
  }

  /** Whether the session ends here, and the cluster has not answered that yet. */
  isEnding(id: string): boolean {
    return this.#ending.has(id)
  }

  /** There may be work to claim in `ms` milliseconds. */
  noteDue(ms: number): void {
    const { deadlines } = this.#context
    this.#dueAt = Math.min(this.#dueAt, deadlines.now + ms)
    deadlines.wake()
  }

  /** Nothing is due while the limiter is full. It wakes the deadlines when it has room again. */
  nextDue(): number | undefined {
    return this.#isAsking || this.#context.lifecycle.limiter.free === 0 ? undefined : this.#dueAt
  }

  work(): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    void this.#fetch()
  }

  /** Does the work of a claim. */
  start(claim: Claim): void {
    if (claim.phase === 'value') {
      const { token, sessionId, createdAt, parentId } = claim
      const session =
        this.#context.findById(sessionId) ?? this.#context.makeRemote(token, sessionId, createdAt, parentId)
      void this.#context.lifecycle.limiter.run(() => this.release(claim, session))
      return
    }
    if (claim.phase === 'end' && this.#ending.has(claim.id)) {
      this.#ending.set(claim.id, claim)
      return
    }
    const session = this.#context.findById(claim.id) ?? this.#remoteSession(claim)
    if (claim.phase === 'unload') this.#startUnload(session, claim)
    else void this.end(session, claim.reason, claim).then(() => this.#remoteSessions.delete(claim.id))
  }

  /** Runs the delete callback of a shared value. Never rejects. */
  async release(claim: ValueClaim, session: SharedOwner): Promise<void> {
    await this.#track(claim, () => this.#context.shared.release(session, claim, claim.reason))
  }

  /**
   * Ends the local part of the session, and runs the hooks if this node has the claim.
   * @param claimed the claim, when it is known; `undefined`: another node has it
   */
  end(
    session: Session,
    reason: Reason,
    claimed: SessionClaim | undefined | Promise<SessionClaim | undefined>,
  ): Promise<void> {
    const { lifecycle } = this.#context
    const { load, everHadPage: hadPage } = session.presence
    const work = { load, isLoaded: false, hadPage, sharedValues: [] }
    if (claimed instanceof Promise && session.finished === undefined) this.#ending.set(session.id, undefined)
    const finished = lifecycle.end(session, reason, work, async () => {
      const claim = (await claimed) ?? this.#ending.get(session.id)
      this.#ending.delete(session.id)
      const isOurs =
        claim !== undefined &&
        (await this.#track(claim, isOurs =>
          lifecycle.finish(session, claim.reason, { ...claim, sharedValues: claim.values }, isOurs),
        ))
      if (!isOurs) await lifecycle.finishLocally(session, reason)
    })
    this.#context.arm(session)
    return finished
  }

  /** Resolves when no claim is in progress. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  async #fetch(): Promise<void> {
    this.#isAsking = true
    const claims = await this.#coordinator.claim(this.#context.lifecycle.limiter.free)
    this.#isAsking = false
    for (const claim of claims) this.start(claim)
    this.#context.deadlines.wake()
  }

  #startUnload(session: Session, claim: SessionClaim): void {
    const { presence } = session
    presence.load = claim.load
    presence.beginUnload()
    session.endLoad()
    const run = () => this.#context.lifecycle.limiter.run(() => this.#unload(session, claim))
    const { scopes } = session
    const inScopes = scopes?.all.flatMap(scope => scope.finished ?? scope.unloading ?? []) ?? []
    // Without a slot of the limiter: the scopes need their own slots. Those that have ended may still run hooks.
    const scopesOver = async () => {
      await Promise.all(inScopes)
      await scopes?.allFinished()
    }
    const unloading = inScopes.length === 0 ? run() : scopesOver().then(run)
    session.unloading = unloading
    void unloading.then(() => {
      if (session.unloading === unloading) session.unloading = undefined
    })
  }

  async #unload(session: Session, claim: SessionClaim): Promise<void> {
    const { lifecycle } = this.#context
    await this.#track(claim, isOurs => lifecycle.unload(session, claim.load, claim.reason, isOurs))
    if (session.finished !== undefined) return
    this.#remoteSessions.delete(claim.id)
    // If a page or request has entered in the meantime, completing the claim has loaded the session again.
    if (session.presence.phase === 'unloading') session.presence.unloadedElsewhere()
    this.#context.arm(session)
  }

  #remoteSession({ token, id, createdAt, load, parentId }: SessionClaim): Session {
    const session = this.#remoteSessions.get(id) ?? this.#context.makeRemote(token, id, createdAt, parentId)
    session.presence.load = load
    this.#remoteSessions.set(id, session)
    return session
  }

  /**
   * Extends a claim, does `work`, which must not reject, and completes the claim. Never rejects.
   * @param work receives a function that checks whether this node still has the claim. It must be called before each function of
   * the app: a process that was paused or disconnected may have lost the claim
   * @returns whether this node had the claim
   */
  #track(claim: Claim, work: (isOurs: IsOurs) => Promise<void> | undefined): Promise<boolean> {
    const running = this.#work(claim, work)
    this.#running.add(running)
    return running.finally(() => this.#running.delete(running))
  }

  async #work(claim: Claim, work: (isOurs: IsOurs) => Promise<void> | undefined): Promise<boolean> {
    if (!(await this.#coordinator.extend(claim))) return false
    this.#worked.add(claim)
    this.#stopExtending ??= this.#context.deadlines.every(EXTEND_INTERVAL, () => this.#extendAll())
    await work(() => this.#coordinator.extend(claim))
    this.#worked.delete(claim)
    await this.#coordinator.complete(claim)
    return true
  }

  async #extendAll(): Promise<void> {
    await Promise.all([...this.#worked].map(claim => this.#coordinator.extend(claim)))
    if (this.#worked.size > 0) return
    this.#stopExtending?.()
    this.#stopExtending = undefined
  }
}

/** How often a claim is extended while the app's hooks run, in milliseconds. */
const EXTEND_INTERVAL = 5_000
