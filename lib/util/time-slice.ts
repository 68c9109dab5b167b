/**
 * How much is done in one turn of the event loop, while there is more to do than a turn may take. What a round sets off by
 * promises runs only when the turn's own work is over, where no look at the clock can end it: so a turn has fewer
 * rounds when the one before kept the loop for too long, and more when it was soon over.
 */
export class Pace {
  #most = FIRST
  #rounds = 0
  #begun = 0
  #isUnderWay = false

  /** A turn begins. Times are in milliseconds. */
  begin(now: number): void {
    if (this.#isUnderWay) {
      const took = now - this.#begun
      if (took > TOO_LONG) this.#most = Math.max(Math.floor(this.#rounds / 2), 1)
      else if (took < TURN) this.#most = Math.min(this.#most * 2, MOST)
    }
    this.#begun = now
    this.#rounds = 0
  }

  /** Whether this turn may have one more round. */
  allows(now: number): boolean {
    return this.#rounds++ < this.#most && now - this.#begun < TURN
  }

  /** @param isAllDone whether nothing is left for the next turn, so that this one's length will not be known */
  end(isAllDone: boolean): void {
    this.#isUnderWay = !isAllDone
  }
}

/** In milliseconds. A request that comes in the midst of a storm waits a few times as long. */
const TURN = 4
const TOO_LONG = 2 * TURN
/** Rounds of a turn. */
const FIRST = 16
const MOST = 512
