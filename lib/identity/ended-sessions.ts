/**
 * Host sessions that were destroyed or given up for another lately. A request that came before may still have one at hand:
 * it must not begin a session here with it, nor be the reason that its host writes it to the store again.
 */
export class OverSessions {
  /** Grows with each that is over: what a request notes when it comes. */
  serial = 0
  readonly #serials = new Map<string, number>()

  add(id: string): void {
    this.#serials.delete(id)
    this.#serials.set(id, ++this.serial)
    if (this.#serials.size <= MOST) return
    const [oldest] = this.#serials.keys()
    this.#serials.delete(oldest as string)
  }

  /** Whether it was over by now, but not yet when `serial` was noted. */
  has(id: string, serial: number): boolean {
    return serial < this.serial && (this.#serials.get(id) ?? 0) > serial
  }
}

/** No request takes so long that this many logouts come meanwhile. */
const MOST = 10_000
