/** Lets one task after the other run for each key. */
export class KeyedLock {
  readonly #last = new Map<string, Promise<unknown>>()

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    return this.#runAfter(this.#last.get(key), [key], task)
  }

  /**
   * Runs one task for several keys. Their places are all taken at once, so that two such tasks come in one order for all
   * keys that both have: neither waits for the other while that waits for it.
   */
  runForAll<T>(keys: readonly string[], task: () => Promise<T>): Promise<T> {
    const before = keys.flatMap(key => this.#last.get(key) ?? [])
    return this.#runAfter(before.length === 0 ? undefined : Promise.allSettled(before), keys, task)
  }

  /** Whether a task runs or waits for that key. */
  isHeld(key: string): boolean {
    return this.#last.has(key)
  }

  async #runAfter<T>(
    before: Promise<unknown> | undefined,
    keys: readonly string[],
    task: () => Promise<T>,
  ): Promise<T> {
    const mine = (async () => {
      // What became of the tasks before is their callers' concern.
      await before?.catch(() => {})
      return task()
    })()
    for (const key of keys) this.#last.set(key, mine)
    try {
      return await mine
    } finally {
      for (const key of keys) if (this.#last.get(key) === mine) this.#last.delete(key)
    }
  }
}
