import type { Limiter } from '../util/limiter.js'
import { Deadline, type Deadlines, type DueSource } from '../util/scheduler.js'
import { after, isThenable } from '../util/thenable.js'
import type { Claim, Engine, MaybePromise } from './engine.js'
import type { Hooks } from './hooks.js'
import type { ValueClaim } from './shared-value-store.js'

/** What the engine says is due, taken no faster than there is room to work it off. */
export class Claims implements DueSource {
  readonly #engine: Engine
  readonly #limiter: Limiter
  readonly #hooks: Hooks
  readonly #deadlines: Deadlines
  readonly #handle: (claim: Claim | ValueClaim) => void
  /** A shared engine is being asked. */
  #asking = false
  /** Nothing is asked while this is due: an engine that has failed would fail again, as fast as it can be asked. */
  readonly #pause = new Deadline(() => {
    this.#isPaused = false
  })
  #isPaused = false
  /** The work on a shared engine's claims: what `close()` waits for. */
  readonly #held = new Set<Promise<boolean>>()
  /** Those for which more time is asked, now and then. */
  readonly #worked = new Set<Claim | ValueClaim>()
  #stopRenewing: (() => void) | undefined

  /** @param handle does what a claim asks for, by way of {@link hold} */
  constructor(
    engine: Engine,
    limiter: Limiter,
    hooks: Hooks,
    deadlines: Deadlines,
    handle: (claim: Claim | ValueClaim) => void,
  ) {
    this.#engine = engine
    this.#limiter = limiter
    this.#hooks = hooks
    this.#deadlines = deadlines
    this.#handle = handle
  }

  /** While there is no room, nothing is due; the limiter tells when that changes. */
  nextDue(): number | undefined {
    if (this.#limiter.free === 0 || this.#asking || this.#isPaused) return undefined
    return this.#engine.nextDue()
  }

  work(limit: number): void {
    const { free } = this.#limiter
    try {
      // Each question to a shared engine takes a while, so it is asked for all that there is room for.
      const claims = this.#engine.claim(this.#engine.isShared ? free : Math.min(limit, free))
      if (isThenable(claims)) void this.#handleLater(claims)
      else for (const claim of claims) this.#handle(claim)
    } catch (error) {
      this.#failed(error)
    }
  }

  /**
   * Does `work`, which must not reject, for a claim, and settles it. Of a shared engine's claim it is made sure that it
   * is still this node's: a process that was paused, or cut off, may have lost it to another one. Never rejects.
   * @param work is given what tells whether the claim is still this node's, to be asked between its steps
   * @returns whether it was this node's
   */
  hold(
    claim: Claim | ValueClaim,
    work: (isOurs: IsOurs) => void | Promise<void>,
  ): boolean | Promise<boolean> {
    if (!this.#engine.isShared) return after(work(ALWAYS), () => after(this.#settle(claim), () => true))
    const held = this.#holdShared(claim, work)
    this.#held.add(held)
    return held.finally(() => this.#held.delete(held))
  }

  /** Resolves when no work is going on for any claim that needed one. */
  async idle(): Promise<void> {
    while (this.#held.size > 0) await Promise.all(this.#held)
  }

  async #holdShared(
    claim: Claim | ValueClaim,
    work: (isOurs: IsOurs) => void | Promise<void>,
  ): Promise<boolean> {
    if (!(await this.#renew(claim))) return false
    this.#worked.add(claim)
    this.#stopRenewing ??= this.#deadlines.every(RENEW, () => this.#renewAll())
    await work(() => this.#renew(claim))
    this.#worked.delete(claim)
    await this.#settle(claim)
    return true
  }

  async #renewAll(): Promise<void> {
    await Promise.all([...this.#worked].map(claim => this.#renew(claim)))
    if (this.#worked.size > 0) return
    this.#stopRenewing?.()
    this.#stopRenewing = undefined
  }

  /** An engine that can't tell leaves it open whether the claim is lost: then it is better not acted upon. */
  async #renew(claim: Claim | ValueClaim): Promise<boolean> {
    try {
      return await this.#engine.renew(claim)
    } catch (error) {
      this.#hooks.report(error, { source: 'engine', session: claim.life })
      return false
    }
  }

  async #handleLater(claims: PromiseLike<(Claim | ValueClaim)[]>): Promise<void> {
    this.#asking = true
    try {
      for (const claim of await claims) this.#handle(claim)
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#asking = false
      this.#deadlines.wake()
    }
  }

  #failed(error: unknown): void {
    this.#hooks.report(error, { source: 'engine' })
    this.#isPaused = true
    this.#deadlines.schedule(this.#pause, PAUSE)
  }

  #settle(claim: Claim | ValueClaim): void | Promise<void> {
    const failed = (error: unknown) => this.#hooks.report(error, { source: 'engine', session: claim.life })
    try {
      const settled = this.#engine.settle(claim)
      if (isThenable(settled)) return settled.then(() => {}, failed)
    } catch (error) {
      failed(error)
    }
  }
}

/** Whether a claim is still this node's. */
export type IsOurs = () => MaybePromise<boolean>

const ALWAYS: IsOurs = () => true

/** How long an engine that could not be asked is left alone. */
const PAUSE = 1_000
/** How often more time is asked for while the app's hooks run. */
const RENEW = 5_000
