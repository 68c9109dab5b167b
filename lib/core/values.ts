import { WheelNode } from '../timer-wheel.js'
import type { Deadlines, Due } from './deadlines.js'
import { eachBounded, type Gate } from './gate.js'
import { type Hooks, PARALLEL, type TimeLimit } from './hooks.js'
import type { DeleteEvent, DeleteReason, ValueConfig } from './state.js'
import type { SessionView } from './view.js'

/** What the values of all sessions share. */
export interface ValuesContext {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  /** Bounds the callbacks that time sets off; those that a caller waits for run at once. */
  readonly gate: Gate
  /** Stands in the keys of this process's values: another one may have values of the same session. */
  readonly process: string
}

/** Whose values they are. */
export interface ValuesOwner {
  readonly id: string
  readonly view: SessionView
}

/** The values of one session. Each that leaves, by whatever way, goes through {@link Values.release} once. */
export class Values {
  readonly #context: ValuesContext
  readonly #owner: ValuesOwner
  #slots: Slots
  /** Callbacks under way: the session's end waits for them. */
  #pending: Set<Promise<void>> | undefined
  #serial = 0
  /** What was there at the end, for the `ended` hooks. */
  #final: Slots

  constructor(context: ValuesContext, owner: ValuesOwner) {
    this.#context = context
    this.#owner = owner
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
    if (old !== undefined && Object.is(old.value, value)) {
      old.config = config
      this.#arm(old)
      return
    }
    const slot = new Slot(this, name, value, config, ++this.#serial)
    this.#put(slot)
    this.#arm(slot)
    if (old === undefined) return
    this.#context.deadlines.cancel(old)
    if (old.config.deleteReplaced) void this.#release(old, 'replaced')
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

  /** Deletes all values at once. Done when their callbacks, and those already under way, have run. */
  deleteAll(reason: DeleteReason): void | Promise<void> {
    const final = this.#slots
    const slots = listOf(final)
    for (const slot of slots) this.#context.deadlines.cancel(slot)
    this.#slots = undefined
    const toRelease = slots.filter(slot => slot.needsRelease)
    const releasing = eachBounded(toRelease, PARALLEL, slot => this.#release(slot, reason))
    if (releasing !== undefined || this.#pending !== undefined) return this.#awaitAll(releasing, final)
    // Not before: to a callback, what is being deleted is gone.
    this.#final = final
  }

  /** The time to live of a value is over. */
  expire(slot: Slot): void {
    this.#remove(slot)
    if (!slot.needsRelease) return
    const running = this.#context.gate.run(() => this.#release(slot, 'timeToLive'))
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

  async #awaitAll(releasing: void | Promise<void>, final: Slots): Promise<void> {
    await releasing
    if (this.#pending !== undefined) await Promise.all(this.#pending)
    this.#final = final
  }

  #arm(slot: Slot): void {
    const { timeToLive } = slot.config
    if (timeToLive === Number.POSITIVE_INFINITY) this.#context.deadlines.cancel(slot)
    else this.#context.deadlines.schedule(slot, timeToLive)
  }

  #put(slot: Slot): void {
    const slots = this.#slots
    if (slots instanceof Map) slots.set(slot.name, slot)
    else if (slots === undefined || slots.name === slot.name) this.#slots = slot
    else this.#slots = new Map([slots, slot].map(each => [each.name, each]))
  }

  #remove(slot: Slot): void {
    const slots = this.#slots
    this.#context.deadlines.cancel(slot)
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
  readonly #owner: ValuesOwner
  readonly #process: string
  readonly #limit: TimeLimit

  /** Doesn't keep the slot: a callback that keeps what it was told would hold the value. */
  constructor(
    { name, serial }: Slot,
    reason: DeleteReason,
    owner: ValuesOwner,
    process: string,
    limit: TimeLimit,
  ) {
    this.reason = reason
    this.name = name
    this.#serial = serial
    this.#owner = owner
    this.#process = process
    this.#limit = limit
  }

  get session(): SessionView {
    return this.#owner.view
  }

  get key(): string {
    return `${this.#owner.id}:${this.#process}:${this.#serial}:${this.name}`
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

/** A value; in the wheel, its time to live. */
class Slot extends WheelNode implements Due {
  readonly name: string
  readonly value: unknown
  /** Tells it from the values of that name before it. */
  readonly serial: number
  config: ValueConfig
  readonly #values: Values

  constructor(values: Values, name: string, value: unknown, config: ValueConfig, serial: number) {
    super()
    this.#values = values
    this.name = name
    this.value = value
    this.config = config
    this.serial = serial
  }

  run(): void {
    this.#values.expire(this)
  }

  get needsRelease(): boolean {
    return this.config.deleteCallback !== undefined || isDisposable(this.value)
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
