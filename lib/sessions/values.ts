import type { DeleteEvent, DeleteReason, SessionView } from '../types.js'
import { eachBounded, type Limiter } from '../util/limiter.js'
import type { Deadlines, Due } from '../util/scheduler.js'
import type { WheelNode } from '../util/timer-wheel.js'
import { dispose, isDisposable } from './disposal.js'
import { type Hooks, MAX_PARALLEL, type TimeLimit } from './hooks.js'
import type { ValueConfig } from './value-definition.js'

/** Shared by the values of all sessions. */
export interface ValuesContext {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  /** Bounds the callbacks of expired values. Callbacks that a caller awaits run at once. */
  readonly limiter: Limiter
  /** Part of the values' keys, because another process may have values of the same session. */
  readonly process: string
}

/** The session that owns values. */
export interface ValuesOwner {
  readonly id: string
  readonly view: SessionView
}

/** The values of one session. Each value that is removed, for any reason, passes through `#release` once. */
export class Values {
  readonly #owner: ValuesOwner
  readonly #context: ValuesContext
  #records: ValueRecords
  /** Running callbacks, which the session's end waits for. */
  #pending: Set<Promise<void>> | undefined
  #serial = 0
  /** The final values of a session that has ended, for `ended` hooks. */
  #final: ValueRecords

  constructor(owner: ValuesOwner, context: ValuesContext) {
    this.#owner = owner
    this.#context = context
  }

  get count(): number {
    const records = this.#records
    return records instanceof Map ? records.size : Number(records !== undefined)
  }

  /** The values by name, each with when it is due on the monotonic clock, if ever. */
  get listed(): Iterable<{ readonly name: string; readonly due?: number }> {
    return this.#records instanceof Map ? this.#records.values() : listOf(this.#records)
  }

  has(name: string): boolean {
    return find(this.#records, name) !== undefined
  }

  get(name: string): unknown {
    return find(this.#records, name)?.value
  }

  /** Like {@link get}; in `ended` hooks, returns the final value. */
  getOrFinal(name: string): unknown {
    return find(this.#final ?? this.#records, name)?.value
  }

  /** The options that the current value of a plain name was set with. */
  configOf(name: string): ValueConfig | undefined {
    return find(this.#records, name)?.config
  }

  /** Sets the value and restarts its time to live. Setting the identical reference replaces nothing. */
  set(name: string, value: unknown, config: ValueConfig): void {
    const old = find(this.#records, name)
    const isSame = old !== undefined && Object.is(old.value, value)
    if (isSame && old.config === config) {
      this.#arm(old)
      return
    }
    if (old !== undefined) this.#cancel(old)
    const record = this.#recordFor(name, value, config, isSame ? old.serial : ++this.#serial)
    this.#put(record)
    this.#arm(record)
    if (old === undefined || isSame || !old.config.deleteReplaced || !old.needsRelease) return
    this.#noteDeleted(old, 'replaced')
    void this.#release(old, 'replaced')
  }

  /** Restarts the time to live. */
  touch(name: string): boolean {
    const record = find(this.#records, name)
    if (record === undefined) return false
    this.#arm(record)
    return true
  }

  /** Deletes the value. Resolves when its callback has settled. */
  async delete(name: string): Promise<boolean> {
    const record = find(this.#records, name)
    if (record === undefined) return false
    this.#remove(record, 'deleted')
    await this.#release(record, 'deleted')
    return true
  }

  /** Whether a callback is running, or has to run when all values are deleted. */
  get hasCallbacks(): boolean {
    return this.#pending !== undefined || listOf(this.#records).some(record => record.needsRelease)
  }

  /** Deletes all values. Only for values without callbacks, see {@link hasCallbacks}. */
  clear(reason: DeleteReason): void {
    this.#final = this.#takeAll(reason)
  }

  /** Deletes all values. Resolves when their callbacks, and those that were running, have settled. */
  async deleteAll(reason: DeleteReason): Promise<void> {
    const final = this.#takeAll(reason)
    const toRelease = listOf(final).filter(record => record.needsRelease)
    await eachBounded(toRelease, MAX_PARALLEL, record => this.#release(record, reason))
    if (this.#pending !== undefined) await Promise.all(this.#pending)
    // Not earlier: callbacks can't read the values that are being deleted.
    this.#final = final
  }

  /** Called when the time to live of a value has passed. */
  expire(record: ValueRecord): void {
    this.#remove(record, 'timeToLive')
    if (!record.needsRelease) return
    const { limiter } = this.#context
    if (limiter.free === 0) {
      this.track(limiter.run(async () => this.#release(record, 'timeToLive')))
      return
    }
    const running = this.#release(record, 'timeToLive')
    if (running !== undefined) limiter.occupy(running)
  }

  /** Lets the end of the session wait for a callback. */
  track(running: Promise<void>): void {
    this.#pending ??= new Set()
    const pending = this.#pending.add(running)
    void running.then(() => {
      pending.delete(running)
      if (pending.size === 0) this.#pending = undefined
    })
  }

  #takeAll(reason: DeleteReason): ValueRecords {
    const all = this.#records
    this.#records = undefined
    for (const record of listOf(all)) {
      this.#cancel(record)
      this.#noteDeleted(record, reason)
    }
    return all
  }

  #recordFor(name: string, value: unknown, config: ValueConfig, serial: number): ValueRecord {
    return config.timeToLive === Number.POSITIVE_INFINITY
      ? new ValueRecord(name, value, config, serial)
      : new TimedValueRecord(name, value, config, serial, this)
  }

  #arm(record: ValueRecord): void {
    if (record instanceof TimedValueRecord) this.#context.deadlines.schedule(record, record.config.timeToLive)
  }

  #cancel(record: ValueRecord): void {
    if (record instanceof TimedValueRecord) this.#context.deadlines.cancel(record)
  }

  #put(record: ValueRecord): void {
    const records = this.#records
    if (records instanceof Map) records.set(record.name, record)
    else if (records === undefined || records.name === record.name) this.#records = record
    else this.#records = new Map([records, record].map(each => [each.name, each]))
  }

  #remove(record: ValueRecord, reason: DeleteReason): void {
    const records = this.#records
    this.#cancel(record)
    if (records instanceof Map) records.delete(record.name)
    if (records === record || (records instanceof Map && records.size === 0)) this.#records = undefined
    this.#noteDeleted(record, reason)
  }

  #noteDeleted({ name }: ValueRecord, reason: DeleteReason): void {
    this.#context.hooks.events.valueDeleted(this.#owner.id, name, reason)
  }

  /** Runs the delete callback, or the disposer, of a value that was already removed from the session. */
  #release(record: ValueRecord, reason: DeleteReason): void | Promise<void> {
    if (!record.needsRelease) return
    const context = { source: 'deleteCallback', session: this.#owner.id, name: record.name } as const
    const running = this.#context.hooks.call(context, limit => this.#runCallback(record, reason, limit))
    if (running !== undefined) this.track(running)
    return running
  }

  #runCallback(record: ValueRecord, reason: DeleteReason, limit: TimeLimit): unknown {
    const { value, config } = record
    if (config.deleteCallback === undefined) return dispose(value as Partial<AsyncDisposable & Disposable>)
    return config.deleteCallback(
      value,
      new Deletion(record, reason, this.#owner, this.#context.process, limit),
    )
  }
}

/**
 * The event of a delete callback. Its getters create `session` and `signal` on use: most callbacks need neither, and a session keeps its
 * view.
 */
class Deletion implements DeleteEvent {
  readonly reason: DeleteReason
  readonly name: string
  readonly #serial: number
  readonly #session: ValuesOwner
  readonly #process: string
  readonly #limit: TimeLimit

  /** Doesn't keep the record: otherwise a callback that keeps its event would keep the value in memory. */
  constructor(
    { name, serial }: ValueRecord,
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

/** By name. Most sessions have one value, and a Map would take more memory than everything else in them. */
type ValueRecords = ValueRecord | Map<string, ValueRecord> | undefined

function find(records: ValueRecords, name: string): ValueRecord | undefined {
  if (records instanceof Map) return records.get(name)
  return records?.name === name ? records : undefined
}

function listOf(records: ValueRecords): ValueRecord[] {
  if (records instanceof Map) return [...records.values()]
  return records === undefined ? [] : [records]
}

/** A value and its options. */
class ValueRecord {
  readonly name: string
  readonly value: unknown
  readonly config: ValueConfig
  /** Distinguishes it from earlier values of the same name. */
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

/** A value with a time to live, and its node in the timer wheel. */
class TimedValueRecord extends ValueRecord implements Due {
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
