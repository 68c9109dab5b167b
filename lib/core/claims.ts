import type { Claim, Engine } from '../engines/engine.js'
import type { DueSource } from './deadlines.js'
import type { Gate } from './gate.js'
import { type Hooks, isThenable } from './hooks.js'

/** What the engine says is due, taken no faster than there is room to work it off. */
export class Claims implements DueSource {
  readonly #engine: Engine
  readonly #gate: Gate
  readonly #hooks: Hooks
  readonly #wake: () => void
  readonly #handle: (claim: Claim, settle: () => Promise<void>) => void
  /** A shared engine is being asked. */
  #asking = false

  /**
   * @param wake called when there may be something due again
   * @param handle does what a claim asks for, and then calls `settle`, which never rejects
   */
  constructor(
    engine: Engine,
    gate: Gate,
    hooks: Hooks,
    wake: () => void,
    handle: (claim: Claim, settle: () => Promise<void>) => void,
  ) {
    this.#engine = engine
    this.#gate = gate
    this.#hooks = hooks
    this.#wake = wake
    this.#handle = handle
  }

  /** While there is no room, nothing is due; the gate tells when that changes. */
  nextDue(): number | undefined {
    return this.#gate.free > 0 && !this.#asking ? this.#engine.nextDue() : undefined
  }

  work(limit: number): void {
    try {
      const claims = this.#engine.claim(Math.min(limit, this.#gate.free))
      if (isThenable(claims)) void this.#handleLater(claims)
      else this.#handleAll(claims)
    } catch (error) {
      this.#hooks.report(error, { source: 'engine' })
    }
  }

  async #handleLater(claims: Promise<Claim[]>): Promise<void> {
    this.#asking = true
    try {
      this.#handleAll(await claims)
    } catch (error) {
      this.#hooks.report(error, { source: 'engine' })
    } finally {
      this.#asking = false
      this.#wake()
    }
  }

  #handleAll(claims: Claim[]): void {
    for (const claim of claims) this.#handle(claim, () => this.#settle(claim))
  }

  async #settle(claim: Claim): Promise<void> {
    try {
      await this.#engine.settle(claim)
    } catch (error) {
      this.#hooks.report(error, { source: 'engine', session: claim.life })
    }
  }
}
