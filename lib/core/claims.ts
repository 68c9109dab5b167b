import type { Claim, Engine } from '../engines/engine.js'
import { Deadline, type Deadlines, type DueSource } from './deadlines.js'
import type { Gate } from './gate.js'
import { type Hooks, isThenable } from './hooks.js'

/** What the engine says is due, taken no faster than there is room to work it off. */
export class Claims implements DueSource {
  readonly #engine: Engine
  readonly #gate: Gate
  readonly #hooks: Hooks
  readonly #deadlines: Deadlines
  readonly #handle: (claim: Claim, settle: () => Promise<void>) => void
  /** A shared engine is being asked. */
  #asking = false
  /** Nothing is asked while this is due: an engine that has failed would fail again, as fast as it can be asked. */
  readonly #pause = new Deadline(() => {
    this.#isPaused = false
  })
  #isPaused = false

  /**
   * @param handle does what a claim asks for, and then calls `settle`, which never rejects
   */
  constructor(
    engine: Engine,
    gate: Gate,
    hooks: Hooks,
    deadlines: Deadlines,
    handle: (claim: Claim, settle: () => Promise<void>) => void,
  ) {
    this.#engine = engine
    this.#gate = gate
    this.#hooks = hooks
    this.#deadlines = deadlines
    this.#handle = handle
  }

  /** While there is no room, nothing is due; the gate tells when that changes. */
  nextDue(): number | undefined {
    if (this.#gate.free === 0 || this.#asking || this.#isPaused) return undefined
    return this.#engine.nextDue()
  }

  work(limit: number): void {
    try {
      const claims = this.#engine.claim(Math.min(limit, this.#gate.free))
      if (isThenable(claims)) void this.#handleLater(claims)
      else this.#handleAll(claims)
    } catch (error) {
      this.#failed(error)
    }
  }

  async #handleLater(claims: Promise<Claim[]>): Promise<void> {
    this.#asking = true
    try {
      this.#handleAll(await claims)
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

/** How long an engine that could not be asked is left alone. */
const PAUSE = 1_000
