/**
 * A hierarchical timing wheel (Varghese and Lauck, 1987): O(1) to schedule and to cancel, whatever the number of
 * nodes, where a heap takes O(log n) and one `setTimeout` each takes memory and a place in Node's own heap.
 *
 * One tick is a millisecond. A node stands on the level of the highest base-32 digit in which its due tick differs
 * from the wheel's own; when the wheel reaches the slot of a higher level, its nodes move down, one by one, so that
 * a caller can do that work in slices too. Eleven levels span every safe integer, so that a clock may also count from 1970.
 */
export class TimerWheel<T extends WheelNode> {
  #ticks = 0
  #size = 0
  readonly #heads: (T | undefined)[] = new Array(LEVELS * SLOTS).fill(undefined)
  /** One word a level: bit s is set while slot s holds a node. */
  readonly #occupied = new Int32Array(LEVELS)

  /** How many nodes are scheduled. */
  get size(): number {
    return this.#size
  }

  /** Schedules a node at `due` (ms), or moves it there. A node with the due time `Infinity` is only removed. */
  schedule(node: T, due: number): void {
    this.cancel(node)
    if (due === Number.POSITIVE_INFINITY) return
    // Ticks are whole milliseconds, and no node is due early.
    node.due = Math.ceil(due)
    this.#insert(node)
    this.#size++
  }

  /** Removes a node; does nothing if it isn't scheduled. */
  cancel(node: T): void {
    if (node.slot < 0) return
    this.#unlink(node)
    this.#size--
  }

  /**
   * When the wheel has work: the due time of its earliest node, or an earlier time at which nodes move down a level.
   * `undefined` while it is empty.
   */
  next(): number | undefined {
    const slot = this.#earliest()
    return slot < 0 ? undefined : this.#start(slot)
  }

  /**
   * Hands every node that is due at `now` to `take`, earliest first, in at most `limit` steps (a node that moves down
   * a level is a step too). What `take` schedules is not handed out in the same call unless it is due.
   */
  expire(now: number, limit: number, take: (node: T) => void): void {
    const until = Math.min(Math.floor(now), MAX_TICK)
    for (let steps = 0; steps < limit; ) {
      const slot = this.#earliest()
      const start = slot < 0 ? Number.POSITIVE_INFINITY : this.#start(slot)
      this.#ticks = Math.max(this.#ticks, Math.min(start, until))
      if (start > until) return
      // It stays the earliest until it is empty: what is scheduled meanwhile is due now, at its end, or later.
      for (; steps < limit; steps++) {
        const node = this.#heads[slot]
        if (node === undefined) break
        this.#unlink(node)
        if (slot < SLOTS) {
          this.#size--
          take(node)
        } else {
          this.#insert(node)
        }
      }
    }
  }

  #insert(node: T): void {
    const tick = Math.min(Math.max(node.due, this.#ticks), MAX_TICK)
    let level = 0
    while (Math.floor(tick / POWERS[level + 1]!) !== Math.floor(this.#ticks / POWERS[level + 1]!)) level++
    const digit = Math.floor(tick / POWERS[level]!) % SLOTS
    const slot = level * SLOTS + digit
    node.slot = slot
    this.#occupied[level]! |= 1 << digit
    const head = this.#heads[slot]
    if (head === undefined) {
      node.previous = node.next = node
      this.#heads[slot] = node
    } else {
      const tail = head.previous as T
      node.previous = tail
      node.next = head
      tail.next = head.previous = node
    }
  }

  #unlink(node: T): void {
    const slot = node.slot
    if (node.next === node) {
      this.#heads[slot] = undefined
      this.#occupied[Math.floor(slot / SLOTS)]! &= ~(1 << (slot % SLOTS))
    } else {
      const next = node.next as T
      const previous = node.previous as T
      previous.next = next
      next.previous = previous
      if (this.#heads[slot] === node) this.#heads[slot] = next
    }
    node.next = node.previous = undefined
    node.slot = -1
  }

  /**
   * The slot that is reached first. On one start the higher level wins: its nodes may be due at that very tick, so
   * they have to move down before any node of that tick is handed out.
   */
  #earliest(): number {
    let found = -1
    let foundStart = Number.POSITIVE_INFINITY
    for (let level = 0; level < LEVELS; level++) {
      const bits = this.#occupied[level]!
      if (bits === 0) continue
      const slot = level * SLOTS + (31 - Math.clz32(bits & -bits))
      const start = this.#start(slot)
      if (start <= foundStart) {
        found = slot
        foundStart = start
      }
    }
    return found
  }

  /** No level wraps around: a node on it shares all higher digits with the wheel, and its own digit is not lower. */
  #start(slot: number): number {
    const level = Math.floor(slot / SLOTS)
    const above = POWERS[level + 1]!
    return Math.floor(this.#ticks / above) * above + (slot % SLOTS) * POWERS[level]!
  }
}

/** A node of a {@link TimerWheel}, which sets its fields. */
export class WheelNode {
  due = 0
  slot = -1
  next: WheelNode | undefined = undefined
  previous: WheelNode | undefined = undefined
}

const SLOTS = 32
const LEVELS = 11
const POWERS = Array.from({ length: LEVELS + 1 }, (_, level) => SLOTS ** level)
const MAX_TICK = Number.MAX_SAFE_INTEGER
