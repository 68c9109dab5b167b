/** The clock of {@link Recount}. Milliseconds on the monotonic clock. */
export interface RecountClock {
  now(): number
  pause(ms: number): Promise<void>
}

/**
 * A comparison of records with the disk, for callers that need one that begins after their call. They share it. Since a client can
 * cause comparisons with uploads that are refused, they take at most a tenth of the time.
 */
export class Recount {
  readonly #clock: RecountClock
  readonly #compare: () => Promise<void>
  /** The last comparison, which may still be running. Never rejects. */
  #last: Promise<void> = Promise.resolve()
  /** The next one, which has not begun. */
  #next: Promise<void> | undefined
  #notBefore = 0

  constructor(clock: RecountClock, compare: () => Promise<void>) {
    this.#clock = clock
    this.#compare = compare
  }

  /** Resolves after a comparison; without one if the next may not begin within a second. */
  run(): Promise<void> {
    this.#next ??= this.#after(this.#last)
    return this.#next
  }

  #after(last: Promise<void>): Promise<void> {
    const next = last.then(() => this.#begin())
    this.#last = next.catch(() => {})
    return next
  }

  async #begin(): Promise<void> {
    const { now, pause } = this.#clock
    const wait = this.#notBefore - now()
    if (wait > 0 && wait <= MAX_WAIT) await pause(wait)
    this.#next = undefined
    if (wait > MAX_WAIT) return
    const begun = now()
    try {
      await this.#compare()
    } finally {
      this.#notBefore = now() + REST * (now() - begun)
    }
  }
}

/** How long to wait after a comparison, as a multiple of its duration. */
const REST = 9
/** How long an upload waits for the next comparison, in milliseconds. */
const MAX_WAIT = 1_000
