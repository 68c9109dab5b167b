import type { HookOutcome } from '../channel-messages.js'
import { GradioStateError, invalid } from '../errors.js'
import type { Events, HookCall } from '../events.js'
import type {
  ErrorContext,
  ErrorListener,
  HookEvent,
  HookName,
  LeaveEvent,
  Reason,
  SessionView,
} from '../types.js'
import { mayBePromise, neglect, settlementOf } from '../util/foreign-promise.js'
import { eachBounded } from '../util/limiter.js'
import { presentCall, runAs } from '../util/own-context.js'
import { Deadline, type Deadlines } from '../util/scheduler.js'
import { describe, nameOf } from './hook-names.js'
import { HookSet } from './hook-set.js'

/**
 * Calls the app's functions so that one that throws, rejects or hangs doesn't stop the others, and none runs in the async context of
 * a request.
 */
export class Hooks {
  readonly load = new HookSet<HookEvent>('load')
  readonly unload = new HookSet<LeaveEvent>('unload')
  readonly ended = new HookSet<LeaveEvent>('ended')
  readonly errorListeners = new Set<ErrorListener>()
  readonly events: Events
  /** While set, collects the calls that exceed their time limit. */
  timedOut: ErrorContext[] | undefined
  readonly #deadlines: Deadlines
  readonly #timeout: number
  /** How many calls are running of each hook, and of the delete callback of each value. */
  readonly #running = new Map<string, number>()

  /** @param timeout in milliseconds */
  constructor(deadlines: Deadlines, timeout: number, events: Events) {
    this.#deadlines = deadlines
    this.#timeout = timeout
    this.events = events
  }

  /** The hook or callback of which the most calls are running; `undefined` if none is. */
  get busiest(): string | undefined {
    return [...this.#running].sort(([, one], [, other]) => other - one)[0]?.[0]
  }

  /** Runs all `load` hooks of a session. Resolves when each has settled or timed out; never rejects. */
  runLoad(session: SessionView, key: string): Promise<void> {
    return this.#runAll(this.load.of(session), session, 'load', limit => new Event(session, key, limit))
  }

  /** Runs all `unload` or `ended` hooks of a session, as {@link runLoad} does. */
  runLeave(source: 'unload' | 'ended', session: SessionView, key: string, reason: Reason): Promise<void> {
    return this.#runAll(this[source].of(session), session, source, limit =>
      Object.assign(new Event(session, key, limit), { reason }),
    )
  }

  /**
   * Calls a function of the app. An error that it throws is reported. A promise that it returns is awaited until the time limit;
   * the returned promise never rejects.
   */
  call(context: HookCall, run: (limit: TimeLimit) => unknown): void | Promise<void> {
    const call = this.#begin(context)
    return this.#await(call, () => this.#deadlines.context.run(() => run(call), call))
  }

  /** Calls a function of the app like {@link call}, but in the async context of the caller, which is a request. */
  callHere(context: HookCall, run: () => unknown): void {
    const call = this.#begin(context)
    void this.#await(call, () => runAs(call, run))
  }

  /** Whether the caller runs inside a hook or callback of that session: awaiting the hooks of that session would deadlock. */
  isInside(session: string): boolean {
    const call = presentCall()
    return call instanceof Call && call.active && call.context.session === session
  }

  /** Emits an error to the `error` listeners; without any, to `console.error`: a failing hook must neither be hidden nor crash the app. */
  report(error: unknown, context: ErrorContext): void {
    this.#deadlines.context.run(() => {
      this.events.errorEmitted(error, context)
      if (this.errorListeners.size === 0) logError(`gradio-state: ${describe(context)} failed:`, error)
      for (const listener of this.errorListeners) {
        try {
          const result: unknown = listener(error, context)
          if (mayBePromise(result)) settlementOf(result).catch(listenerFailed)
        } catch (cause) {
          listenerFailed(cause)
        }
      }
    }, REPORT)
  }

  #begin(context: HookCall): Call {
    return new Call(context, this.events.timesHooks ? this.#deadlines.now : undefined)
  }

  #await(call: Call, run: () => unknown): void | Promise<void> {
    let result: unknown
    let outcome: HookOutcome = 'ok'
    try {
      result = run()
    } catch (error) {
      outcome = 'error'
      this.report(error, call.context)
    }
    if (mayBePromise(result)) return this.#settled(result, call)
    this.#end(call, outcome)
  }

  #end(call: Call, outcome: HookOutcome): void {
    call.active = false
    const { context, startedAt } = call
    if (startedAt === undefined) return
    this.events.hookRan(context, (this.#deadlines.now - startedAt) / 1000, outcome)
  }

  async #runAll<E>(
    hooks: ReadonlySet<(event: E) => unknown>,
    session: SessionView,
    source: HookName,
    event: (limit: TimeLimit) => E,
  ): Promise<void> {
    if (hooks.size === 0) return
    const context: HookCall = { source, session: session.id }
    await eachBounded([...hooks], MAX_PARALLEL, hook => this.call(context, limit => hook(event(limit))))
  }

  #settled(result: object, call: Call): Promise<void> {
    const { context } = call
    const called = nameOf(context)
    this.#countRunning(called, 1)
    return new Promise(resolve => {
      const over = (outcome: HookOutcome) => {
        if (!call.active) return
        this.#countRunning(called, -1)
        this.#end(call, outcome)
        resolve()
      }
      const deadline = new Deadline(() => {
        const message = `Expected ${describe(context)} to settle within ${this.#timeout / 1000} s (hookTimeout), but it hasn't. It is no longer awaited. Let it stop when its signal aborts, or raise hookTimeout.`
        const error = new GradioStateError('HOOK_TIMEOUT', message)
        call.abort(error)
        this.timedOut?.push(context)
        this.report(error, context)
        over('timeout')
      })
      this.#deadlines.schedule(deadline, this.#timeout)
      const settle = (outcome: HookOutcome) => {
        this.#deadlines.cancel(deadline)
        over(outcome)
      }
      // A rejection after the limit is reported too, since nothing else handles it.
      settlementOf(result).then(
        () => settle('ok'),
        error => {
          this.report(error, context)
          settle('error')
        },
      )
    })
  }

  #countRunning(called: string, change: number): void {
    const running = (this.#running.get(called) ?? 0) + change
    if (running > 0) this.#running.set(called, running)
    else this.#running.delete(called)
  }
}

/** The time limit of one call. The signal is created on first use, since most hooks never use it. */
export class TimeLimit {
  #controller: AbortController | undefined
  #isOver: unknown

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#isOver !== undefined) this.#controller.abort(this.#isOver)
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    this.#isOver = reason
    this.#controller?.abort(reason)
  }
}

/** The async context of a call of the app's function. Async resources that the function creates keep it in memory. */
class Call extends TimeLimit {
  readonly context: HookCall
  /** `undefined` if it isn't timed. */
  readonly startedAt: number | undefined
  /** Until the function has settled or timed out. */
  active = true

  constructor(context: HookCall, startedAt: number | undefined) {
    super()
    this.context = context
    this.startedAt = startedAt
  }
}

/** The call context of `error` listeners. */
const REPORT = {}

/** How many functions of one session's event run concurrently. */
export const MAX_PARALLEL = 16

class Event implements HookEvent {
  readonly session: SessionView
  readonly key: string
  readonly #limit: TimeLimit

  constructor(session: SessionView, key: string, limit: TimeLimit) {
    this.session = session
    this.key = key
    this.#limit = limit
  }

  get signal(): AbortSignal {
    return this.#limit.signal
  }
}

function listenerFailed(cause: unknown): void {
  logError('gradio-state: an error listener failed:', cause)
}

/** Logging an error may throw: its getters and methods are the app's. */
function logError(message: string, error: unknown): void {
  try {
    console.error(message, error)
  } catch {
    console.error(message, 'with an error that can not be printed')
  }
}

/** Throws unless `event` is one that `on()` and `off()` support. */
export function checkEvent(method: 'on' | 'off', event: unknown): void {
  if (event === 'error') return
  const isHook = event === 'load' || event === 'unload' || event === 'ended'
  throw invalid(
    `the event of ${method}()`,
    `'error'${isHook ? `; hooks are added by ${event}(hook)` : ''}`,
    event,
  )
}

/** Returns the result of an `update()` function, unless it is a promise. */
export function notPromise<T>(value: T): T {
  if (!isThenable(value)) return value
  neglect(value)
  throw new TypeError(
    'Expected the function of update() to return the new value, got a promise. Await first, then call update(): a value that was read before an await may be outdated after it.',
  )
}

/** Whether a function of the app has returned something to await. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' || value === null) return false
  try {
    return typeof (value as { then?: unknown }).then === 'function'
  } catch {
    // A `then` that throws can't be awaited.
    return false
  }
}
