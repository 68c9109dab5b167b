/** Tracks the failures of one store, and reports each outage once. All times are milliseconds on the monotonic clock. */
export class StoreOutage {
  /** When the store may be queried again. */
  resumeAt = 0
  readonly #report: (error: unknown) => void
  #isActive = false
  #failures = 0
  #answers = 0
  #failedAt = 0

  /** @param report called with the first error of each outage */
  constructor(report: (error: unknown) => void) {
    this.#report = report
  }

  failed(error: unknown, now: number): void {
    if (!this.#isActive) this.#report(error)
    this.#isActive = true
    this.#answers = 0
    this.#failedAt = now
    // Queries that were sent together with one that has failed don't lengthen the pause.
    if (now < this.resumeAt) return
    this.resumeAt = now + jitter(Math.min(FIRST_PAUSE * 2 ** this.#failures, LONGEST_PAUSE))
    this.#failures++
  }

  answered(now: number): void {
    this.#failures = 0
    this.#answers++
    // A store that fails intermittently has one long outage rather than many short ones.
    if (this.#answers >= RECOVERY_ANSWERS && now - this.#failedAt >= RECOVERY_TIME) this.#isActive = false
  }
}

/** Spreads simultaneous work: returns between 75% and 125% of `ms`. */
export function jitter(ms: number): number {
  return ms * (0.75 + Math.random() / 2)
}

const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 30_000
const RECOVERY_ANSWERS = 10
const RECOVERY_TIME = 60_000
