/** What is swept by age. */
export interface Aging {
  readonly createdAt: number
  readonly isPinned: boolean
}

/**
 * Files in the order they were created. What a sweep looks at is what is due, and what was due before but pinned.
 */
export class AgeQueue<T extends Aging> {
  /** A set keeps the order of insertion, and lets any file leave in O(1). */
  readonly #waiting = new Set<T>()
  readonly #heldBack = new Set<T>()

  add(file: T): void {
    this.#waiting.add(file)
  }

  /** For one that was taken out and is pinned now. */
  holdBack(file: T): void {
    this.#heldBack.add(file)
  }

  delete(file: T): void {
    if (!this.#waiting.delete(file)) this.#heldBack.delete(file)
  }

  /**
   * Takes out the files that were created at `until` or before, and aren't pinned: each when it is asked for, since all
   * at once would stop the event loop. One that is held back meanwhile waits for the next time.
   */
  *takeDue(until: number): Generator<T> {
    for (const file of [...this.#heldBack]) if (!file.isPinned && this.#heldBack.delete(file)) yield file
    for (const file of this.#waiting) {
      if (file.createdAt > until) break
      this.#waiting.delete(file)
      if (file.isPinned) this.#heldBack.add(file)
      else yield file
    }
  }
}
