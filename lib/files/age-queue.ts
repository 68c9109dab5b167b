/** What a sweep needs to know of a file. */
export interface Aging {
  readonly createdAt: number
  readonly pins: number
}

/** Files in the order they were created, so that a sweep looks only at those that are due. */
export class AgeQueue<T extends Aging> {
  /** A set keeps the order of insertion, and lets any file leave in O(1), also while it is iterated over. */
  readonly #files = new Set<T>()

  add(file: T): void {
    this.#files.add(file)
  }

  delete(file: T): void {
    this.#files.delete(file)
  }

  /** The files that were created at `until` or before, and aren't pinned when it is their turn. */
  *due(until: number): Generator<T> {
    for (const file of this.#files) {
      if (file.createdAt > until) return
      if (file.pins === 0) yield file
    }
  }
}
