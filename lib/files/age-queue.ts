/** The fields of a file that a sweep by age reads. */
export interface Aging {
  readonly createdAt: number
  readonly pins: number
}

/** Files in order of creation, so that a sweep only iterates over those that are due. */
export class AgeQueue<T extends Aging> {
  /** A set keeps insertion order, and deletes in O(1), even during iteration. */
  readonly #files = new Set<T>()

  add(file: T): void {
    this.#files.add(file)
  }

  delete(file: T): void {
    this.#files.delete(file)
  }

  /** The files that were created at `until` or before, without those that are pinned when the iteration reaches them. */
  *due(until: number): Generator<T> {
    for (const file of this.#files) {
      if (file.createdAt > until) return
      if (file.pins === 0) yield file
    }
  }
}
