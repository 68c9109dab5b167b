/**
 * A hierarchical timing wheel (Varghese and Lauck, 1987): scheduling and cancelling take O(1) for any number of nodes. A
 * heap would take O(log n), and one `setTimeout` per node would take more memory.
 *
 * One tick is a millisecond. A node is on the level of the highest base-32 digit in which its due tick differs from the
 * current tick. When the wheel reaches a slot of a higher level, the nodes of the slot move down one by one, so that
 * the caller can split this work into time slices, too. Eleven levels cover every safe integer, so the clock may also count
 * from 1970.
 */
export class TimerWheel<T extends WheelNode> {
  #ticks = 0
  #size = 0
  readonly #heads: (T | undefined)[] = new Array(LEVELS * SLOTS).fill(undefined)
  /** One word per level: bit s is set while slot s contains a node. */
  readonly #occupied = new Int32Array(LEVELS)

  /** The number of scheduled nodes. */
  get size(): number {
    return this.#size
  }

  /** Schedules a node at `due` (ms), or moves it there if it is scheduled. With `Infinity` the node is only removed. */
  schedule(node: T, due: number): void {
    this.cancel(node)
    if (due === Number.POSITIVE_INFINITY) return
    // Rounded up to whole ticks, so that no node is due too early.
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
   * The time of the next work: when the earliest node is due, or earlier, when nodes move down a level. `undefined` if the
   * wheel is empty.
   */
  next(): number | undefined {
    const slot = this.#earliest()
    return slot < 0 ? undefined : this.#start(slot)
  }

  /**
   * Removes every node that is due at `now` and passes it to `take`, earliest first, in at most `limit` steps. Moving a node
   * down a level is a step, too. `take` may schedule nodes; those that are due at `now` are processed in the same call.
   */
  expire(now: number, limit: number, take: (node: T) => void): void {
    const until = Math.min(Math.floor(now), MAX_TICK)
    for (let steps = 0; steps < limit; ) {
      const slot = this.#earliest()
      const start = slot < 0 ? Number.POSITIVE_INFINITY : this.#start(slot)
      this.#ticks = Math.max(this.#ticks, Math.min(start, until))
      if (start > until) return
      // The slot remains the earliest until it is empty: nodes that `take` schedules are appended to it or are due later.
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
   * The slot with the earliest start. Of slots with the same start, the one on the highest level: its nodes may be due at that
   * tick, so they have to move down before any node of the tick is passed on.
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

  /** The first tick of a slot. No level wraps around: its nodes share all higher digits with the current tick. */
  #start(slot: number): number {
    const level = Math.floor(slot / SLOTS)
    const above = POWERS[level + 1]!
    return Math.floor(this.#ticks / above) * above + (slot % SLOTS) * POWERS[level]!
  }
}

/** A node of a {@link TimerWheel}. Only the wheel sets its fields. */
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
