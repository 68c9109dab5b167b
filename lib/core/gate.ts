/** Lets at most `limit` tasks run at once; the others wait in the order they came. */
export class Gate {
  readonly #limit: number
  readonly #freed: () => void
  /** A linked list: `shift()` of an array moves all of a long one, and keeps its memory. */
  #first: Waiting | undefined
  #last: Waiting | undefined
  #running = 0

  /** @param freed called when a place has become free and nobody waits for it */
  constructor(limit: number, freed: () => void) {
    this.#limit = limit
    this.#freed = freed
  }

  /** How many tasks would start at once. */
  get free(): number {
    return Math.max(this.#limit - this.#running, 0)
  }

  /** Runs `task` in a place of its own; the place is free again when its promise settles. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.free === 0) await new Promise<void>(resolve => this.#wait(resolve))
    else this.#running++
    try {
      return await task()
    } finally {
      const next = this.#first
      if (next === undefined) {
        this.#running--
        this.#freed()
      } else {
        this.#first = next.next
        if (next === this.#last) this.#last = undefined
        // The place is handed on, never free in between: a newcomer can't overtake.
        next.start()
      }
    }
  }

  #wait(start: () => void): void {
    const waiting = { start, next: undefined }
    if (this.#last === undefined) this.#first = waiting
    else this.#last.next = waiting
    this.#last = waiting
  }
}

interface Waiting {
  readonly start: () => void
  next: Waiting | undefined
}

/** Calls `task` for each item, at most `limit` at once. */
export async function eachBounded<T>(
  items: readonly T[],
  limit: number,
  task: (item: T) => unknown,
): Promise<void> {
  const queue = items.values()
  async function worker(): Promise<void> {
    for (let next = queue.next(); !next.done; next = queue.next()) await task(next.value)
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
}
