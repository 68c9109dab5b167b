import type { Reason } from '../types.js'
import type { Deadlines, DueSource } from '../util/scheduler.js'
import type { Claim, Coordinator, SessionClaim } from './coordinator.js'
import type { IsOurs, Lifecycle } from './lifecycle.js'
import type { Session } from './session.js'
import type { SharedOwner } from './session-access.js'
import type { ValueClaim } from './shared-value-store.js'
import type { SharedAccess } from './shared-values.js'

/** What the worker needs of this process's sessions. */
export interface WorkSite {
  readonly deadlines: Deadlines
  readonly lifecycle: Lifecycle
  readonly shared: SharedAccess
  findById(id: string): Session | undefined
  /** A session that has no part in this process, for its hooks. */
  foreign(token: string, id: string, createdAt: number): Session
  /** What is due of a session may have changed. */
  arm(session: Session): void
}

/** Does the work that the cluster gives to this node, and fetches what is due, no faster than there is room for it. */
export class ClaimWorker implements DueSource {
  readonly #coordinator: Coordinator
  readonly #site: WorkSite
  #dueAt = Number.POSITIVE_INFINITY
  #isAsking = false
  /** What `close()` waits for. */
  readonly #held = new Set<Promise<boolean>>()
  /** Those for which more time is asked now and then. */
  readonly #worked = new Set<Claim>()
  #stopExtending: (() => void) | undefined
  /** Sessions that have no part here, while hooks run for them: those of an end wait for those of an unload. */
  readonly #foreign = new Map<string, Session>()

  constructor(coordinator: Coordinator, site: WorkSite) {
    this.#coordinator = coordinator
    this.#site = site
    site.deadlines.add(this)
  }

  /** There may be work to fetch in so many milliseconds. */
  noteDue(ms: number): void {
    const { deadlines } = this.#site
    this.#dueAt = Math.min(this.#dueAt, deadlines.now + ms)
    deadlines.wake()
  }

  /** While there is no room, nothing is due; the limiter tells when that changes. */
  nextDue(): number | undefined {
    return this.#isAsking || this.#site.lifecycle.limiter.free === 0 ? undefined : this.#dueAt
  }

  work(): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    void this.#fetch()
  }

  /** Does what a claim asks for. */
  start(claim: Claim): void {
    if (claim.phase === 'value') {
      const { token, life, createdAt } = claim
      const session = this.#site.findById(life) ?? this.#site.foreign(token, life, createdAt)
      void this.#site.lifecycle.limiter.run(() => this.release(claim, session))
      return
    }
    const session = this.#site.findById(claim.id) ?? this.#keepForeign(claim)
    if (claim.phase === 'unload') this.#startUnload(session, claim)
    else void this.end(session, claim.reason, claim).then(() => this.#foreign.delete(claim.id))
  }

  /** Tells the callback of a shared value that it was deleted. Never rejects. */
  async release(claim: ValueClaim, session: SharedOwner): Promise<void> {
    await this.#hold(claim, () => this.#site.shared.release(session, claim, claim.reason))
  }

  /**
   * What there is of the session in this process ends, and its hooks run where the claim is this node's.
   * @param claimed the claim, as far as it is known; `undefined`: it is another node's
   */
  end(
    session: Session,
    reason: Reason,
    claimed: SessionClaim | undefined | Promise<SessionClaim | undefined>,
  ): Promise<void> {
    const { lifecycle } = this.#site
    const { load, everHadPage: hadPage } = session.presence
    const work = { load, isLoaded: false, hadPage, sharedValues: [] }
    const finished = lifecycle.end(session, reason, work, async () => {
      const claim = await claimed
      const isOurs =
        claim !== undefined &&
        (await this.#hold(claim, isOurs =>
          lifecycle.finish(session, claim.reason, { ...claim, sharedValues: claim.values }, isOurs),
        ))
      if (!isOurs) await lifecycle.finishPart(session, reason)
    })
    this.#site.arm(session)
    return finished
  }

  /** Resolves when no claim is worked on any more. */
  async idle(): Promise<void> {
    while (this.#held.size > 0) await Promise.all(this.#held)
  }

  async #fetch(): Promise<void> {
    this.#isAsking = true
    const claims = await this.#coordinator.claim(this.#site.lifecycle.limiter.free)
    this.#isAsking = false
    for (const claim of claims) this.start(claim)
    this.#site.deadlines.wake()
  }

  #startUnload(session: Session, claim: SessionClaim): void {
    const { presence } = session
    presence.load = claim.load
    presence.beginUnload()
    session.endLoad()
    const unloading = this.#site.lifecycle.limiter.run(() => this.#unload(session, claim))
    session.unloading = unloading
    void unloading.then(() => {
      if (session.unloading === unloading) session.unloading = undefined
    })
  }

  async #unload(session: Session, claim: SessionClaim): Promise<void> {
    const { lifecycle } = this.#site
    await this.#hold(claim, isOurs => lifecycle.unload(session, claim.load, claim.reason, isOurs))
    if (session.finished !== undefined) return
    this.#foreign.delete(claim.id)
    // It was loaded again with the completion, if anybody has come.
    if (session.presence.phase === 'unloading') session.presence.unloadedElsewhere()
    this.#site.arm(session)
  }

  #keepForeign({ token, id, createdAt, load }: SessionClaim): Session {
    const session = this.#foreign.get(id) ?? this.#site.foreign(token, id, createdAt)
    session.presence.load = load
    this.#foreign.set(id, session)
    return session
  }

  /**
   * Does `work`, which must not reject, for a claim, and completes it. Never rejects.
   * @param work is given what tells whether the claim is still this node's, to be asked before each of the app's functions: a
   * process that was paused, or cut off, may have lost it
   * @returns whether it was this node's
   */
  #hold(claim: Claim, work: (isOurs: IsOurs) => Promise<void> | undefined): Promise<boolean> {
    const held = this.#work(claim, work)
    this.#held.add(held)
    return held.finally(() => this.#held.delete(held))
  }

  async #work(claim: Claim, work: (isOurs: IsOurs) => Promise<void> | undefined): Promise<boolean> {
    if (!(await this.#coordinator.extend(claim))) return false
    this.#worked.add(claim)
    this.#stopExtending ??= this.#site.deadlines.every(EXTEND, () => this.#extendAll())
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

/** How often more time is asked for while the app's hooks run. */
const EXTEND = 5_000
