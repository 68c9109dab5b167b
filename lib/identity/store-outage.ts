/** The failures of one store, told once until it is well again. All times in milliseconds of the monotonic clock. */
export class Outage {
  /** When the store may be asked again. */
  resumeAt = 0
  readonly #report: (error: unknown) => void
  #isOn = false
  #failures = 0
  #answers = 0
  #failedAt = 0

  /** @param report told of the first failure of each outage */
  constructor(report: (error: unknown) => void) {
    this.#report = report
  }

  failed(error: unknown, now: number): void {
    if (!this.#isOn) this.#report(error)
    this.#isOn = true
    this.#answers = 0
    this.#failedAt = now
    // Others that were asked together with one that has failed are no further try.
    if (now < this.resumeAt) return
    this.resumeAt = now + jitter(Math.min(FIRST_PAUSE * 2 ** this.#failures, LONGEST_PAUSE))
    this.#failures++
  }

  answered(now: number): void {
    this.#failures = 0
    this.#answers++
    // A store that fails now and then is in one long outage, not in many short ones.
    if (this.#answers >= ANSWERS_OF_HEALTH && now - this.#failedAt >= TIME_OF_HEALTH) this.#isOn = false
  }
}

/** Spreads what would come all at once: between three and five quarters of `ms`. */
export function jitter(ms: number): number {
  return ms * (0.75 + Math.random() / 2)
}

const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 30_000
const ANSWERS_OF_HEALTH = 10
const TIME_OF_HEALTH = 60_000
