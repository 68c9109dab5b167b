/** Collects the items with the lowest keys, at most `limit` of them. Never sorts more than twice as many at a time. */
export class Lowest<T> {
  readonly #limit: number
  #entries: { readonly key: number; readonly item: T }[] = []
  /** Once there are `limit` items, further ones need a lower key than this. */
  #bound = Number.POSITIVE_INFINITY

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Of items with the same key, those that were added first come first. */
  add(key: number, item: T): void {
    if (this.#entries.length >= this.#limit && key >= this.#bound) return
    this.#entries.push({ key, item })
    if (this.#entries.length >= 2 * this.#limit) this.#cut()
  }

  /** The items, lowest first. */
  get items(): T[] {
    this.#cut()
    return this.#entries.map(({ item }) => item)
  }

  #cut(): void {
    // `a - b` would be NaN for two infinite keys.
    this.#entries.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)))
    this.#entries.length = Math.min(this.#entries.length, this.#limit)
    if (this.#entries.length === this.#limit) this.#bound = this.#entries.at(-1)?.key ?? this.#bound
  }
}
