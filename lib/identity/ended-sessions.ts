/**
 * Framework sessions that were destroyed or regenerated recently. A request that arrived earlier may still hold the old session
 * object. It must neither start a session here with it, nor make the session middleware write it to the store again.
 */
export class EndedSessions {
  /** Increases with each ended session. Each request records it on arrival. */
  serial = 0
  readonly #serials = new Map<string, number>()

  add(id: string): void {
    this.#serials.delete(id)
    this.#serials.set(id, ++this.serial)
    if (this.#serials.size <= CAPACITY) return
    const [oldest] = this.#serials.keys()
    this.#serials.delete(oldest as string)
  }

  /** Whether the session ended after `serial` was recorded. */
  has(id: string, serial: number): boolean {
    return serial < this.serial && (this.#serials.get(id) ?? 0) > serial
  }
}

/** More sessions than can end while one request is in flight. */
const CAPACITY = 10_000
