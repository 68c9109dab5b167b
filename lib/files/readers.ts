/**
 * Counts the downloads that read some bytes. When a file is deleted, the system keeps its bytes until the last of them has closed it.
 */
export class Readers {
  #count = 0
  #whenNone: (() => void)[] = []

  enter(): void {
    this.#count++
  }

  leave(): void {
    this.#count--
    if (this.#count === 0) for (const task of this.#whenNone.splice(0)) task()
  }

  /** Calls `task` when there are no readers, at once if there are none now. */
  whenNone(task: () => void): void {
    if (this.#count === 0) task()
    else this.#whenNone.push(task)
  }
}
