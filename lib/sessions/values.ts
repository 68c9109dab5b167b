import type { DeleteEvent, DeleteReason, SessionView } from '../types.js'
import { eachBounded, type Limiter } from '../util/limiter.js'
import type { Deadlines, Due } from '../util/scheduler.js'
import type { WheelNode } from '../util/timer-wheel.js'
import { type Hooks, PARALLEL, type TimeLimit } from './hooks.js'
import type { ValueConfig } from './value-definition.js'

/** What the values of all sessions share. */
export interface ValuesContext {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  /** Bounds the callbacks that time sets off; those that a caller waits for run at once. */
  readonly limiter: Limiter
  /** Stands in the keys of this process's values: another one may have values of the same session. */
  readonly process: string
}

/** The session that values belong to. */
export interface ValuesOwner {
  readonly id: string
  readonly view: SessionView
}

/** The values of one session. Each that leaves, for any reason, passes `#release` once. */
export class Values {
  readonly #owner: ValuesOwner
  readonly #context: ValuesContext
  #slots: Slots
  /** Callbacks under way: the session's end waits for them. */
  #pending: Set<Promise<void>> | undefined
  #serial = 0
  /** What was there at the end, for the `ended` hooks. */
  #final: Slots

  constructor(owner: ValuesOwner, context: ValuesContext) {
    this.#owner = owner
    this.#context = context
  }

  get isEmpty(): boolean {
    return this.#slots === undefined
  }

  has(name: string): boolean {
    return find(this.#slots, name) !== undefined
  }

  get(name: string): unknown {
    return find(this.#slots, name)?.value
  }

  /** Like {@link get}; in `ended` hooks, what there was at the end. */
  getOrFinal(name: string): unknown {
    return find(this.#final ?? this.#slots, name)?.value
  }

  /** How the present value of a plain name was set. */
  configOf(name: string): ValueConfig | undefined {
    return find(this.#slots, name)?.config
  }

  /** Sets the value and restarts its time to live. The identical reference replaces nothing. */
  set(name: string, value: unknown, config: ValueConfig): void {
    const old = find(this.#slots, name)
    const isSame = old !== undefined && Object.is(old.value, value)
    if (isSame && old.config === config) {
      this.#arm(old)
      return
    }
    if (old !== undefined) this.#cancel(old)
    const slot = this.#slotFor(name, value, config, isSame ? old.serial : ++this.#serial)
    this.#put(slot)
    this.#arm(slot)
    if (old !== undefined && !isSame && old.config.deleteReplaced) void this.#release(old, 'replaced')
  }

  /** Restarts the time to live. */
  touch(name: string): boolean {
    const slot = find(this.#slots, name)
    if (slot === undefined) return false
    this.#arm(slot)
    return true
  }

  /** Deletes the value; resolves when its callback has run. */
  async delete(name: string): Promise<boolean> {
    const slot = find(this.#slots, name)
    if (slot === undefined) return false
    this.#remove(slot)
    await this.#release(slot, 'deleted')
    return true
  }

  /** Whether a callback has to run when all values are deleted, or is running. */
  get hasCallbacks(): boolean {
    return this.#pending !== undefined || listOf(this.#slots).some(slot => slot.needsRelease)
  }

  /** Deletes all values, which must have no {@link hasCallbacks}. */
  clear(): void {
    this.#final = this.#takeAll()
  }

  /** Deletes all values at once; resolves when their callbacks, and those that were running, have settled. */
  async deleteAll(reason: DeleteReason): Promise<void> {
    const final = this.#takeAll()
    const toRelease = listOf(final).filter(slot => slot.needsRelease)
    await eachBounded(toRelease, PARALLEL, slot => this.#release(slot, reason))
    if (this.#pending !== undefined) await Promise.all(this.#pending)
    // Not before: to a callback, what is being deleted is gone.
    this.#final = final
  }

  /** The time to live of a value is over. */
  expire(slot: Slot): void {
    this.#remove(slot)
    if (!slot.needsRelease) return
    const { limiter } = this.#context
    if (limiter.free === 0) {
      this.track(limiter.run(async () => this.#release(slot, 'timeToLive')))
      return
    }
    const running = this.#release(slot, 'timeToLive')
    if (running !== undefined) limiter.hold(running)
  }

  /** The end of the session waits for that callback. */
  track(running: Promise<void>): void {
    this.#pending ??= new Set()
    const pending = this.#pending.add(running)
    void running.then(() => {
      pending.delete(running)
      if (pending.size === 0) this.#pending = undefined
    })
  }

  #takeAll(): Slots {
    const all = this.#slots
    for (const slot of listOf(all)) this.#cancel(slot)
    this.#slots = undefined
    return all
  }

  #slotFor(name: string, value: unknown, config: ValueConfig, serial: number): Slot {
    return config.timeToLive === Number.POSITIVE_INFINITY
      ? new Slot(name, value, config, serial)
      : new TimedSlot(name, value, config, serial, this)
  }

  #arm(slot: Slot): void {
    if (slot instanceof TimedSlot) this.#context.deadlines.schedule(slot, slot.config.timeToLive)
  }

  #cancel(slot: Slot): void {
    if (slot instanceof TimedSlot) this.#context.deadlines.cancel(slot)
  }

  #put(slot: Slot): void {
    const slots = this.#slots
    if (slots instanceof Map) slots.set(slot.name, slot)
    else if (slots === undefined || slots.name === slot.name) this.#slots = slot
    else this.#slots = new Map([slots, slot].map(each => [each.name, each]))
  }

  #remove(slot: Slot): void {
    const slots = this.#slots
    this.#cancel(slot)
    if (slots instanceof Map) slots.delete(slot.name)
    if (slots === slot || (slots instanceof Map && slots.size === 0)) this.#slots = undefined
  }

  /** Tells the app that a value, already gone from the session, is no longer held. */
  #release(slot: Slot, reason: DeleteReason): void | Promise<void> {
    if (!slot.needsRelease) return
    const context = { source: 'deleteCallback', session: this.#owner.id, name: slot.name } as const
    const running = this.#context.hooks.call(context, limit => this.#tell(slot, reason, limit))
    if (running !== undefined) this.track(running)
    return running
  }

  #tell(slot: Slot, reason: DeleteReason, limit: TimeLimit): unknown {
    const { value, config } = slot
    if (config.deleteCallback === undefined) return dispose(value as Partial<AsyncDisposable & Disposable>)
    return config.deleteCallback(value, new Deletion(slot, reason, this.#owner, this.#context.process, limit))
  }
}

/** What a callback is told. Most ask for little of it, and the session's view would stay with the session once it is made. */
class Deletion implements DeleteEvent {
  readonly reason: DeleteReason
  readonly name: string
  readonly #serial: number
  readonly #session: ValuesOwner
  readonly #process: string
  readonly #limit: TimeLimit

  /** Doesn't keep the slot: a callback that keeps what it was told would hold the value. */
  constructor(
    { name, serial }: Slot,
    reason: DeleteReason,
    session: ValuesOwner,
    process: string,
    limit: TimeLimit,
  ) {
    this.reason = reason
    this.name = name
    this.#serial = serial
    this.#session = session
    this.#process = process
    this.#limit = limit
  }

  get session(): SessionView {
    return this.#session.view
  }

  get key(): string {
    return `${this.#session.id}:${this.#process}:${this.#serial}:${this.name}`
  }

  get signal(): AbortSignal {
    return this.#limit.signal
  }
}

/** By name. Most sessions have one value, for which a Map would take more memory than all else that they have. */
type Slots = Slot | Map<string, Slot> | undefined

function find(slots: Slots, name: string): Slot | undefined {
  if (slots instanceof Map) return slots.get(name)
  return slots?.name === name ? slots : undefined
}

function listOf(slots: Slots): Slot[] {
  if (slots instanceof Map) return [...slots.values()]
  return slots === undefined ? [] : [slots]
}

/** A value. */
class Slot {
  readonly name: string
  readonly value: unknown
  readonly config: ValueConfig
  /** Tells it from the values of that name before it. */
  readonly serial: number

  constructor(name: string, value: unknown, config: ValueConfig, serial: number) {
    this.name = name
    this.value = value
    this.config = config
    this.serial = serial
  }

  get needsRelease(): boolean {
    return this.config.deleteCallback !== undefined || isDisposable(this.value)
  }
}

/** A value with a time to live, at whose end it stands in the wheel. */
class TimedSlot extends Slot implements Due {
  due = 0
  slot = -1
  next: WheelNode | undefined = undefined
  previous: WheelNode | undefined = undefined
  readonly #values: Values

  constructor(name: string, value: unknown, config: ValueConfig, serial: number, values: Values) {
    super(name, value, config, serial)
    this.#values = values
  }

  run(): void {
    this.#values.expire(this)
  }
}

function isDisposable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  try {
    return Symbol.asyncDispose in value || Symbol.dispose in value
  } catch {
    // A revoked Proxy, say. To dispose of it fails where that is reported.
    return true
  }
}

function dispose(value: Partial<AsyncDisposable & Disposable>): unknown {
  return Symbol.asyncDispose in value ? value[Symbol.asyncDispose]?.() : value[Symbol.dispose]?.()
}
