import { isThenable } from './thenable.js'

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

  /**
   * Runs `task`, which must not fail, in a place of its own; the place is free again when its promise settles. A task
   * that finds a place and gives no promise is over when this returns: then this gives none either.
   */
  run(task: () => void | Promise<void>): void | Promise<void> {
    if (this.free === 0) return new Promise(resolve => this.#wait(task, resolve))
    this.#running++
    const running = task()
    if (running === undefined) this.#leave()
    else return running.then(() => this.#leave())
  }

  /** The place is handed on, never free in between: a newcomer can't overtake. */
  #leave(): void {
    for (let next = this.#first; next !== undefined; next = this.#first) {
      this.#first = next.next
      if (next === this.#last) this.#last = undefined
      const { task, done } = next
      const running = task()
      if (running !== undefined) {
        void running.then(() => {
          done()
          this.#leave()
        })
        return
      }
      done()
    }
    this.#running--
    this.#freed()
  }

  #wait(task: Waiting['task'], done: () => void): void {
    const waiting = { task, done, next: undefined }
    if (this.#last === undefined) this.#first = waiting
    else this.#last.next = waiting
    this.#last = waiting
  }
}

interface Waiting {
  readonly task: () => void | Promise<void>
  readonly done: () => void
  next: Waiting | undefined
}

/**
 * Calls `task`, which must not fail, for each item, at most `limit` at once. Gives a promise only if there is something
 * to wait for.
 */
export function eachBounded<T>(
  items: readonly T[],
  limit: number,
  task: (item: T) => unknown,
): void | Promise<void> {
  const queue = items.values()
  async function goOn(first: PromiseLike<unknown>): Promise<void> {
    await first
    for (let next = queue.next(); !next.done; next = queue.next()) await task(next.value)
  }
  const workers: Promise<void>[] = []
  for (let next = queue.next(); !next.done; next = queue.next()) {
    const running = task(next.value)
    if (!isThenable(running)) continue
    workers.push(goOn(running))
    if (workers.length === limit) break
  }
  if (workers.length > 0) return Promise.all(workers).then(() => {})
}
