import { eachBounded, type Gate } from '../util/limiter.js'
import type { Deadlines, Due } from '../util/scheduler.js'
import type { WheelNode } from '../util/timer-wheel.js'
import { type Hooks, PARALLEL, type TimeLimit } from './hooks.js'
import type { SessionView } from './session-view.js'
import type { DeleteEvent, DeleteReason, ValueConfig } from './value-definition.js'

/** What the values of all sessions share. */
export interface ValuesContext {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  /** Bounds the callbacks that time sets off; those that a caller waits for run at once. */
  readonly gate: Gate
  /** Stands in the keys of this process's values: another one may have values of the same session. */
  readonly process: string
}

/** The values of one session. Each that leaves, by whatever way, goes through `release` once. */
export abstract class Values {
  abstract readonly id: string
  abstract readonly view: SessionView
  protected abstract readonly valuesContext: ValuesContext
  #slots: Slots
  /** Callbacks under way: the session's end waits for them. */
  #pending: Set<Promise<void>> | undefined
  #serial = 0
  /** What was there at the end, for the `ended` hooks. */
  #final: Slots

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
      this.arm(old)
      return
    }
    if (old !== undefined) this.cancel(old)
    const slot = this.slotFor(name, value, config, isSame ? old.serial : ++this.#serial)
    this.put(slot)
    this.arm(slot)
    if (old !== undefined && !isSame && old.config.deleteReplaced) void this.release(old, 'replaced')
  }

  /** Restarts the time to live. */
  touch(name: string): boolean {
    const slot = find(this.#slots, name)
    if (slot === undefined) return false
    this.arm(slot)
    return true
  }

  /** Deletes the value; resolves when its callback has run. */
  async delete(name: string): Promise<boolean> {
    const slot = find(this.#slots, name)
    if (slot === undefined) return false
    this.remove(slot)
    await this.release(slot, 'deleted')
    return true
  }

  /** Deletes all values at once. Done when their callbacks, and those already under way, have run. */
  deleteAll(reason: DeleteReason): void | Promise<void> {
    const final = this.#slots
    const slots = listOf(final)
    for (const slot of slots) this.cancel(slot)
    this.#slots = undefined
    const toRelease = slots.filter(slot => slot.needsRelease)
    const releasing = eachBounded(toRelease, PARALLEL, slot => this.release(slot, reason))
    if (releasing !== undefined || this.#pending !== undefined) return this.awaitAll(releasing, final)
    // Not before: to a callback, what is being deleted is gone.
    this.#final = final
  }

  /** The time to live of a value is over. */
  expire(slot: Slot): void {
    this.remove(slot)
    if (!slot.needsRelease) return
    const running = this.valuesContext.gate.run(() => this.release(slot, 'timeToLive'))
    if (running !== undefined) this.track(running)
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

  private async awaitAll(releasing: void | Promise<void>, final: Slots): Promise<void> {
    await releasing
    if (this.#pending !== undefined) await Promise.all(this.#pending)
    this.#final = final
  }

  private slotFor(name: string, value: unknown, config: ValueConfig, serial: number): Slot {
    return config.timeToLive === Number.POSITIVE_INFINITY
      ? new Slot(name, value, config, serial)
      : new TimedSlot(name, value, config, serial, this)
  }

  private arm(slot: Slot): void {
    if (slot instanceof TimedSlot) this.valuesContext.deadlines.schedule(slot, slot.config.timeToLive)
  }

  private cancel(slot: Slot): void {
    if (slot instanceof TimedSlot) this.valuesContext.deadlines.cancel(slot)
  }

  private put(slot: Slot): void {
    const slots = this.#slots
    if (slots instanceof Map) slots.set(slot.name, slot)
    else if (slots === undefined || slots.name === slot.name) this.#slots = slot
    else this.#slots = new Map([slots, slot].map(each => [each.name, each]))
  }

  private remove(slot: Slot): void {
    const slots = this.#slots
    this.cancel(slot)
    if (slots instanceof Map) slots.delete(slot.name)
    if (slots === slot || (slots instanceof Map && slots.size === 0)) this.#slots = undefined
  }

  /** Tells the app that a value, already gone from the session, is no longer held. */
  private release(slot: Slot, reason: DeleteReason): void | Promise<void> {
    if (!slot.needsRelease) return
    const context = { source: 'deleteCallback', session: this.id, name: slot.name } as const
    const running = this.valuesContext.hooks.call(context, limit => this.tell(slot, reason, limit))
    if (running !== undefined) this.track(running)
    return running
  }

  private tell(slot: Slot, reason: DeleteReason, limit: TimeLimit): unknown {
    const { value, config } = slot
    if (config.deleteCallback === undefined) return dispose(value as Partial<AsyncDisposable & Disposable>)
    return config.deleteCallback(value, new Deletion(slot, reason, this, this.valuesContext.process, limit))
  }
}

/** What a callback is told. Most ask for little of it, and the session's view would stay with the session once it is made. */
class Deletion implements DeleteEvent {
  readonly reason: DeleteReason
  readonly name: string
  readonly #serial: number
  readonly #session: Values
  readonly #process: string
  readonly #limit: TimeLimit

  /** Doesn't keep the slot: a callback that keeps what it was told would hold the value. */
  constructor(
    { name, serial }: Slot,
    reason: DeleteReason,
    session: Values,
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
  return (
    typeof value === 'object' && value !== null && (Symbol.asyncDispose in value || Symbol.dispose in value)
  )
}

function dispose(value: Partial<AsyncDisposable & Disposable>): unknown {
  return Symbol.asyncDispose in value ? value[Symbol.asyncDispose]?.() : value[Symbol.dispose]?.()
}
