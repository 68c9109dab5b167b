/**
 * Limits how many rounds of due work run in one event-loop tick. A time limit alone is not enough: promise callbacks that a round
 * schedules run only after the tick's own work, where the clock isn't checked. So a tick has half as many rounds when the
 * tick before it blocked the event loop for too long, and twice as many when that was short.
 */
export class SliceLimiter {
  #limit = INITIAL_ROUNDS
  #rounds = 0
  #startedAt = 0
  #isContinued = false

  /** Starts a slice. Times are in milliseconds. */
  begin(now: number): void {
    if (this.#isContinued) {
      const duration = now - this.#startedAt
      if (duration > TOO_LONG) this.#limit = Math.max(Math.floor(this.#rounds / 2), 1)
      else if (duration < SLICE) this.#limit = Math.min(this.#limit * 2, MAX_ROUNDS)
    }
    this.#startedAt = now
    this.#rounds = 0
  }

  /** Whether one more round may run in this slice. */
  allows(now: number): boolean {
    return this.#rounds++ < this.#limit && now - this.#startedAt < SLICE
  }

  /** @param isAllDone whether no work is left; if not, the next slice starts at once, which shows how long this one took */
  end(isAllDone: boolean): void {
    this.#isContinued = !isAllDone
  }
}

/** In milliseconds. While many sessions expire, a request waits for a few slices. */
const SLICE = 4
const TOO_LONG = 2 * SLICE
const INITIAL_ROUNDS = 16
const MAX_ROUNDS = 512
