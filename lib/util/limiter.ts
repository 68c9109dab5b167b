/** Runs at most `limit` tasks concurrently; others wait in FIFO order. No task may reject. */
export class Limiter {
  readonly #limit: number
  readonly #onFree: () => void
  /** A linked list: `shift()` of a long array moves all its elements, and keeps its memory. */
  #first: Waiting | undefined
  #last: Waiting | undefined
  #running = 0

  /** @param onFree called when a slot becomes free and no task waits for it */
  constructor(limit: number, onFree: () => void = () => {}) {
    this.#limit = limit
    this.#onFree = onFree
  }

  /** How many tasks would start immediately. */
  get free(): number {
    return Math.max(this.#limit - this.#running, 0)
  }

  /** Runs `task` in a slot, immediately if one is free. Resolves when it has finished. */
  run(task: () => Promise<void>): Promise<void> {
    if (this.free === 0) return new Promise(resolve => this.#wait(task, resolve))
    this.#running++
    const running = task()
    void running.then(() => this.#leave())
    return running
  }

  /** Occupies a slot for a task that is already running, even if none is free. */
  occupy(running: Promise<void>): void {
    this.#running++
    void running.then(() => this.#leave())
  }

  /** Hands the slot to the next waiting task without freeing it, so that no new task can overtake. */
  #leave(): void {
    const next = this.#first
    if (next === undefined || this.#running > this.#limit) {
      this.#running--
      this.#onFree()
      return
    }
    this.#first = next.next
    if (next === this.#last) this.#last = undefined
    void next.task().then(() => {
      next.done()
      this.#leave()
    })
  }

  #wait(task: Waiting['task'], done: () => void): void {
    const waiting = { task, done, next: undefined }
    if (this.#last === undefined) this.#first = waiting
    else this.#last.next = waiting
    this.#last = waiting
  }
}

interface Waiting {
  readonly task: () => Promise<void>
  readonly done: () => void
  next: Waiting | undefined
}

/** Calls `task`, which must not fail, for each item, at most `limit` concurrently. Resolves when all have finished. */
export async function eachBounded<T>(
  items: readonly T[],
  limit: number,
  task: (item: T) => void | Promise<void>,
): Promise<void> {
  const queue = items.values()
  async function work(): Promise<void> {
    for (const item of queue) await task(item)
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work))
}
