/**
 * How long a session has had pages in total. Overlapping pages count once. Has no clock: times are milliseconds on a
 * monotonic clock.
 */
export class PageTime {
  total = 0
  #countedUntil = 0
  #isElsewhere = false

  /** The first page has connected here. */
  begin(now: number): void {
    this.#countedUntil = now
    this.#isElsewhere = false
  }

  /** A page has left. @param seenAt when it was last known to be open */
  count(seenAt: number): void {
    this.total += Math.max(seenAt - this.#countedUntil, 0)
    this.#countedUntil = Math.max(seenAt, this.#countedUntil)
  }

  /**
   * While no page is here, the cluster has reported whether other nodes have pages. No event reports when these leave, so the time
   * between two reports of a page counts.
   */
  noteElsewhere(hasPage: boolean, now: number): void {
    if (hasPage && this.#isElsewhere) this.count(now)
    else this.#countedUntil = now
    this.#isElsewhere = hasPage
  }
}
