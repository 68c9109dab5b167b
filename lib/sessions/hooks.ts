import { GradioStateError, invalid } from '../errors.js'
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

/**
 * Calls the app's functions so that one that throws, rejects or hangs harms nothing else, and none runs in the async context of
 * somebody's request.
 */
export class Hooks {
  readonly load = new Set<(event: HookEvent) => unknown>()
  readonly unload = new Set<(event: LeaveEvent) => unknown>()
  readonly ended = new Set<(event: LeaveEvent) => unknown>()
  readonly errorListeners = new Set<ErrorListener>()
  /** While this is set, each call that outran its time limit is noted in it. */
  timedOut: ErrorContext[] | undefined
  readonly #deadlines: Deadlines
  readonly #timeout: number

  /** @param timeout in milliseconds */
  constructor(deadlines: Deadlines, timeout: number) {
    this.#deadlines = deadlines
    this.#timeout = timeout
  }

  /** Runs all `load` hooks of a session. Settles when each has settled or was given up; never rejects. */
  runLoad(session: SessionView, key: string): Promise<void> {
    return this.#runAll(this.load, session, 'load', limit => new Event(session, key, limit))
  }

  /** Runs all `unload` or `ended` hooks of a session; as {@link runLoad}. */
  runLeave(source: 'unload' | 'ended', session: SessionView, key: string, reason: Reason): Promise<void> {
    return this.#runAll(this[source], session, source, limit =>
      Object.assign(new Event(session, key, limit), { reason }),
    )
  }

  /**
   * Calls a function of the app. What it throws is reported. A promise it gives is waited for until the time limit;
   * the promise given back never rejects.
   */
  call(context: ErrorContext, run: (limit: TimeLimit) => unknown): void | Promise<void> {
    const call = new Call(context.session)
    return this.#await(context, call, () => this.#deadlines.context.run(() => run(call), call))
  }

  /** Calls a function of the app for a request, in that one's async context; else as {@link call}. */
  callHere(context: ErrorContext, run: () => unknown): void {
    const call = new Call(context.session)
    void this.#await(context, call, () => runAs(call, run))
  }

  /** Whether the caller runs inside a hook or callback of that session, and so must not wait for it to finish. */
  isInside(session: string): boolean {
    const call = presentCall()
    return call instanceof Call && call.active && call.session === session
  }

  /** Tells the `error` listeners; without any, the console: a failing hook must be seen and must not crash the app. */
  report(error: unknown, context: ErrorContext): void {
    this.#deadlines.context.run(() => {
      if (this.errorListeners.size === 0) complain(`gradio-state: ${describe(context)} failed:`, error)
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

  #await(context: ErrorContext, call: Call, run: () => unknown): void | Promise<void> {
    let result: unknown
    try {
      result = run()
    } catch (error) {
      this.report(error, context)
    }
    if (mayBePromise(result)) return this.#settled(result, context, call)
    call.active = false
  }

  async #runAll<E>(
    hooks: ReadonlySet<(event: E) => unknown>,
    session: SessionView,
    source: HookName,
    event: (limit: TimeLimit) => E,
  ): Promise<void> {
    if (hooks.size === 0) return
    const context = { source, session: session.id }
    await eachBounded([...hooks], PARALLEL, hook => this.call(context, limit => hook(event(limit))))
  }

  #settled(result: object, context: ErrorContext, call: Call): Promise<void> {
    return new Promise(resolve => {
      const over = () => {
        call.active = false
        resolve()
      }
      const deadline = new Deadline(() => {
        const message = `Expected ${describe(context)} to settle within ${this.#timeout / 1000} s (hookTimeout). It is waited for no longer; let it heed its signal.`
        const error = new GradioStateError('HOOK_TIMEOUT', message)
        call.abort(error)
        this.timedOut?.push(context)
        this.report(error, context)
        over()
      })
      this.#deadlines.schedule(deadline, this.#timeout)
      const settle = () => {
        this.#deadlines.cancel(deadline)
        over()
      }
      // A rejection that comes after the limit is reported too: it is the app's, and nobody else would see it.
      settlementOf(result).then(settle, error => {
        this.report(error, context)
        settle()
      })
    })
  }
}

/** The abort signal of one call, made when it is asked for: most hooks never do. */
export class TimeLimit {
  #controller: AbortController | undefined
  #over: unknown

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#over !== undefined) this.#controller.abort(this.#over)
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    this.#over = reason
    this.#controller?.abort(reason)
  }
}

/** What a function of the app is called in; as long as anything is under way that it has started, this is kept. */
class Call extends TimeLimit {
  readonly session: string | undefined
  /** Until the function has settled, or is waited for no longer. */
  active = true

  constructor(session: string | undefined) {
    super()
    this.session = session
  }
}

/** What listeners of `error` are called in. */
const REPORT = {}

/** How many functions of one session's event run at once. */
export const PARALLEL = 16

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
  complain('gradio-state: an error listener failed:', cause)
}

/** What the app throws may throw again when it is looked at. */
function complain(message: string, error: unknown): void {
  try {
    console.error(message, error)
  } catch {
    console.error(message, 'with something that can not be shown')
  }
}

const SOURCES: Partial<Record<ErrorContext['source'], string>> = {
  deleteCallback: 'deleteCallback',
  info: 'info',
  cluster: 'the cluster',
  files: 'the care of the files',
  store: 'the session store',
}

function describe({ source, session, name }: ErrorContext): string {
  const what = SOURCES[source] ?? `the ${source} hook`
  return (
    what +
    (name === undefined ? '' : ` of ${JSON.stringify(name)}`) +
    (session === undefined ? '' : ` for session ${session}`)
  )
}

/**
 * Adds a hook.
 * @param method the method that it was given to, in messages
 * @returns removes the hook, but not the same function where it was added by another call
 */
export function addHook<E>(
  hooks: Set<(event: E) => unknown>,
  method: string,
  hook: (event: E) => unknown,
): () => void {
  checkFunction(method, hook)
  const added = (event: E) => hook(event)
  hooks.add(added)
  return () => {
    hooks.delete(added)
  }
}

export function checkFunction<T>(method: string, value: T): T {
  if (typeof value !== 'function') throw invalid(`what ${method}() is given`, 'a function', value)
  return value
}

/** Throws unless it is the event that `on()` and `off()` know. */
export function checkEvent(method: 'on' | 'off', event: unknown): void {
  if (event === 'error') return
  const isHook = event === 'load' || event === 'unload' || event === 'ended'
  throw invalid(
    `the event of ${method}()`,
    `'error'${isHook ? `; hooks are added by ${event}(hook)` : ''}`,
    event,
  )
}

/** Gives back what the function of `update()` gave, unless that is a promise. */
export function notPromise<T>(value: T): T {
  if (!isThenable(value)) return value
  neglect(value)
  throw new TypeError(
    'Expected the function of update() to give the new value, got a promise. Await first, then update: a value read before an await may be outdated after it.',
  )
}

/** Whether an app's function has given something to wait for. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' || value === null) return false
  try {
    return typeof (value as { then?: unknown }).then === 'function'
  } catch {
    // Nobody could wait for it.
    return false
  }
}
