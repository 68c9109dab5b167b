import { Deadline, type Deadlines } from './deadlines.js'
import { eachBounded, type Gate } from './gate.js'
import { type Hooks, PARALLEL, type TimeLimit } from './hooks.js'
import type { DeleteReason, ValueConfig } from './state.js'
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

/** The values of one session. Each that leaves, by whatever way, goes through {@link Values.release} once. */
export class Values {
  readonly #context: ValuesContext
  readonly #session: SessionView
  readonly #slots = new Map<string, Slot>()
  /** Callbacks under way: the session's end waits for them. */
  readonly #pending = new Set<Promise<void>>()
  #serial = 0
  /** What was there at the end, for the `ended` hooks. */
  #final: ReadonlyMap<string, Slot> | undefined

  constructor(context: ValuesContext, session: SessionView) {
    this.#context = context
    this.#session = session
  }

  get size(): number {
    return this.#slots.size
  }

  has(name: string): boolean {
    return this.#slots.has(name)
  }

  get(name: string): unknown {
    return this.#slots.get(name)?.value
  }

  /** Like {@link get}; in `ended` hooks, what there was at the end. */
  getOrFinal(name: string): unknown {
    return (this.#final ?? this.#slots).get(name)?.value
  }

  /** How the present value of a plain name was set. */
  configOf(name: string): ValueConfig | undefined {
    return this.#slots.get(name)?.config
  }

  /** Sets the value and restarts its time to live. The identical reference replaces nothing. */
  set(name: string, value: unknown, config: ValueConfig): void {
    const old = this.#slots.get(name)
    if (old !== undefined && Object.is(old.value, value)) {
      old.config = config
      this.#arm(old)
      return
    }
    const slot = new Slot(
      name,
      value,
      config,
      `${this.#session.id}:${this.#context.process}:${++this.#serial}:${name}`,
      () => this.#expire(slot),
    )
    this.#slots.set(name, slot)
    this.#arm(slot)
    if (old === undefined) return
    this.#context.deadlines.cancel(old.deadline)
    if (old.config.deleteReplaced) void this.#release(old, 'replaced')
  }

  /** Restarts the time to live. */
  touch(name: string): boolean {
    const slot = this.#slots.get(name)
    if (slot === undefined) return false
    this.#arm(slot)
    return true
  }

  /** Deletes the value; resolves when its callback has run. */
  async delete(name: string): Promise<boolean> {
    const slot = this.#slots.get(name)
    if (slot === undefined) return false
    this.#remove(slot)
    await this.#release(slot, 'deleted')
    return true
  }

  /** Deletes all values at once. Done when their callbacks, and those already under way, have run. */
  deleteAll(reason: DeleteReason): void | Promise<void> {
    const slots = [...this.#slots.values()]
    for (const slot of slots) this.#context.deadlines.cancel(slot.deadline)
    const final = new Map(this.#slots)
    this.#slots.clear()
    const toRelease = slots.filter(slot => slot.needsRelease)
    if (toRelease.length === 0 && this.#pending.size === 0) this.#final = final
    else return this.#releaseAll(toRelease, reason, final)
  }

  /** The end of the session waits for that callback. */
  track(running: Promise<void>): void {
    this.#pending.add(running)
    void running.finally(() => this.#pending.delete(running))
  }

  async #releaseAll(slots: Slot[], reason: DeleteReason, final: ReadonlyMap<string, Slot>): Promise<void> {
    await eachBounded(slots, PARALLEL, slot => this.#release(slot, reason))
    if (this.#pending.size > 0) await Promise.all(this.#pending)
    // Not before: to a callback, what is being deleted is gone.
    this.#final = final
  }

  #arm(slot: Slot): void {
    const { timeToLive } = slot.config
    if (timeToLive === Number.POSITIVE_INFINITY) this.#context.deadlines.cancel(slot.deadline)
    else this.#context.deadlines.schedule(slot.deadline, timeToLive)
  }

  #remove(slot: Slot): void {
    this.#context.deadlines.cancel(slot.deadline)
    this.#slots.delete(slot.name)
  }

  #expire(slot: Slot): void {
    this.#remove(slot)
    if (slot.needsRelease) this.track(this.#context.gate.run(async () => this.#release(slot, 'timeToLive')))
  }

  /** Tells the app that a value, already gone from the session, is no longer held. */
  #release(slot: Slot, reason: DeleteReason): void | Promise<void> {
    if (!slot.needsRelease) return
    const context = { source: 'deleteCallback', session: this.#session.id, name: slot.name } as const
    const running = this.#context.hooks.call(context, limit => this.#tell(slot, reason, limit))
    if (running !== undefined) this.track(running)
    return running
  }

  #tell(slot: Slot, reason: DeleteReason, limit: TimeLimit): unknown {
    const { name, value, key, config } = slot
    if (config.deleteCallback === undefined) return dispose(value as Partial<AsyncDisposable & Disposable>)
    return config.deleteCallback(value, {
      reason,
      session: this.#session,
      name,
      key,
      get signal() {
        return limit.signal
      },
    })
  }
}

class Slot {
  readonly name: string
  readonly value: unknown
  readonly key: string
  readonly deadline: Deadline
  config: ValueConfig

  constructor(name: string, value: unknown, config: ValueConfig, key: string, expire: () => void) {
    this.name = name
    this.value = value
    this.config = config
    this.key = key
    this.deadline = new Deadline(expire)
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
