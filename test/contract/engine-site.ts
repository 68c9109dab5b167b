import assert from 'node:assert/strict'
import type { Claim, Engine, EngineEvents, MaybePromise } from '../../lib/sessions/engine.ts'
import type { ValueClaim } from '../../lib/sessions/shared-value-store.ts'
import type { Clock } from '../../lib/util/clock.ts'

/** An engine, new for each test and started by it, and the time that it goes by. */
export interface EngineUnderTest {
  readonly engine: Engine
  /** What {@link Engine.nextDue} is told by. */
  readonly clock: Clock
  /** Lets that many milliseconds pass. */
  pass(ms: number): MaybePromise<void>
}

/** Time is counted in units of 100 ms, so that an engine with a real clock can be tested too. */
export const UNIT = 100
export const NEVER = Number.POSITIVE_INFINITY

/** An engine, and what all tests do with it; time in units. */
export class EngineSite {
  readonly engine: Engine
  readonly #made: EngineUnderTest
  #woken = 0

  constructor(made: EngineUnderTest) {
    this.#made = made
    this.engine = made.engine
  }

  /** Runs a test with the engine of its own, from its start to its close. */
  async during<Site extends EngineSite>(this: Site, run: (site: Site) => Promise<void>): Promise<void> {
    await this.#start()
    try {
      await run(this)
    } finally {
      await this.engine.close()
    }
  }

  readonly now = () => this.#made.clock.now()
  readonly pass = (units: number) => this.#made.pass(units * UNIT)
  readonly woken = () => this.#woken

  /** Claims for as long as the engine says that something is due. */
  readonly claimAll = async (limit: number): Promise<(Claim | ValueClaim)[][]> => {
    const portions: (Claim | ValueClaim)[][] = []
    for (let calls = 0; (this.engine.nextDue() ?? NEVER) <= this.now(); calls++) {
      assert.ok(calls < 10_000, 'what is said to be due must be handed out')
      portions.push(await this.engine.claim(limit))
    }
    return portions
  }

  #start(): MaybePromise<void> {
    const ignored = () => {}
    const events: EngineEvents = {
      wake: () => {
        this.#woken++
      },
      gone: ignored,
      unloaded: ignored,
      returned: ignored,
      expired: ignored,
      moved: ignored,
      goodbye: ignored,
      problem: error => {
        throw error
      },
    }
    return this.engine.start(events, {
      clock: this.#made.clock,
      departure: { unloadIn: 2 * UNIT, endIn: NEVER },
    })
  }
}
