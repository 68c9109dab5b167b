import { sessionEnded } from '../errors.js'
import type { Clock } from '../util/clock.js'
import { TimerWheel, WheelNode } from '../util/timer-wheel.js'
import type { SharedValue, SharedValueStore, ValueClaim, Writing, Written } from './shared-value-store.js'

/** What the engine knows of a life. */
interface KnownLife {
  readonly token: string
  readonly life: string
  readonly createdAt: number
}

/** The shared values of an engine in this process. */
export class MemoryValues implements SharedValueStore {
  readonly #clock: Clock
  readonly #find: (token: string) => KnownLife | undefined
  readonly #wake: () => void
  readonly #holdings = new Map<string, Holding>()
  readonly #wheel = new TimerWheel<Slot>()
  #fence = 0

  /**
   * @param find the present life of a token
   * @param wake called when {@link nextDue} may have become earlier
   */
  constructor(clock: Clock, find: (token: string) => KnownLife | undefined, wake: () => void) {
    this.#clock = clock
    this.#find = find
    this.#wake = wake
  }

  async read(token: string, life: string, name: string): Promise<SharedValue | undefined> {
    return this.#slot(token, life, name)?.value
  }

  async write(token: string, life: string, name: string, data: string, how: Writing): Promise<Written> {
    const old = this.#slot(token, life, name)
    if (how.over !== undefined && how.over !== (old?.value.version ?? 0)) return { written: false }
    if (old?.value.data === data) {
      this.#arm(old, how.timeToLive)
      return { written: true }
    }
    const holding = old?.holding ?? this.#hold(token, life)
    const slot = new Slot(holding, { name, data, version: ++holding.version })
    holding.slots.set(name, slot)
    this.#arm(slot, how.timeToLive)
    if (old === undefined) return { written: true }
    this.#wheel.cancel(old)
    return { written: true, replaced: how.claimReplaced ? this.#claim(old, 'replaced') : undefined }
  }

  async touch(token: string, life: string, name: string, timeToLive: number): Promise<boolean> {
    const slot = this.#slot(token, life, name)
    if (slot === undefined) return false
    this.#arm(slot, timeToLive)
    return true
  }

  async delete(token: string, life: string, name: string): Promise<ValueClaim | undefined> {
    const slot = this.#slot(token, life, name)
    if (slot === undefined) return undefined
    this.#wheel.cancel(slot)
    slot.remove()
    return this.#claim(slot, 'deleted')
  }

  /** When a value's time is over, at the earliest. */
  nextDue(): number | undefined {
    // Asked with each request, most of which have to do with no value that is ever due.
    return this.#wheel.size === 0 ? undefined : this.#wheel.next()
  }

  /** Hands out the values whose time is over, in at most `limit` steps. */
  claim(limit: number): ValueClaim[] {
    const claims: ValueClaim[] = []
    if (this.#wheel.size === 0) return claims
    this.#wheel.expire(this.#clock.now(), limit, slot => {
      slot.remove()
      claims.push(this.#claim(slot, 'timeToLive'))
    })
    return claims
  }

  /** The life is over: its values go with it. */
  end(life: string): readonly SharedValue[] {
    const holding = this.#holdings.get(life)
    if (holding === undefined) return NONE
    this.#holdings.delete(life)
    const slots = [...holding.slots.values()]
    for (const slot of slots) this.#wheel.cancel(slot)
    return slots.map(({ value }) => value)
  }

  close(): void {
    for (const life of this.#holdings.keys()) this.end(life)
  }

  #slot(token: string, life: string, name: string): Slot | undefined {
    this.#check(token, life)
    return this.#holdings.get(life)?.slots.get(name)
  }

  #hold(token: string, life: string): Holding {
    const known = this.#holdings.get(life)
    if (known !== undefined) return known
    const holding = new Holding(this.#check(token, life))
    this.#holdings.set(life, holding)
    return holding
  }

  #check(token: string, life: string): KnownLife {
    const known = this.#find(token)
    if (known?.life !== life) throw sessionEnded()
    return known
  }

  #arm(slot: Slot, timeToLive: number): void {
    this.#wheel.schedule(slot, this.#clock.now() + timeToLive)
    if (timeToLive !== Number.POSITIVE_INFINITY) this.#wake()
  }

  #claim({ value, holding }: Slot, reason: ValueClaim['reason']): ValueClaim {
    const { token, life, createdAt } = holding.owner
    return { ...value, phase: 'value', token, life, createdAt, reason, fence: ++this.#fence }
  }
}

/** The values of one life. Stays when it is empty, since versions never repeat. */
class Holding {
  readonly owner: KnownLife
  readonly slots = new Map<string, Slot>()
  version = 0

  constructor(owner: KnownLife) {
    this.owner = owner
  }
}

class Slot extends WheelNode {
  readonly holding: Holding
  readonly value: SharedValue

  constructor(holding: Holding, value: SharedValue) {
    super()
    this.holding = holding
    this.value = value
  }

  remove(): void {
    this.holding.slots.delete(this.value.name)
  }
}

const NONE: readonly SharedValue[] = []
