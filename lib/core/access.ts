import type { EndReason } from '../engines/engine.js'
import { GradioStateError, invalid } from '../errors.js'
import { isThenable } from './hooks.js'
import type { Manager } from './manager.js'
import type { Session } from './session.js'
import { NO_OPTIONS, plainValueConfig, type ValueConfig, type ValueOptions } from './state.js'
import type { State } from './view.js'

/** The values of one session. */
export interface SessionValues {
  /** A uuid v4, new for each life; no credential, so it may stand in logs and directory names. */
  readonly id: string
  /** How many pages are connected; a socket of the app's own that is tracked counts as one. */
  readonly pages: number
  /** Aborts when the session is unloaded: stop the work of a user who has left. */
  readonly signal: AbortSignal

  /** The value; where there is none, the initial value is made. */
  get<T>(state: State<T>): T
  get(name: string): unknown
  /**
   * Sets the value and restarts its time to live. The identical reference replaces nothing. Under a plain name the
   * options hold for this value and for those that follow it without options.
   */
  set<T>(state: State<T>, value: T): void
  set<T>(name: string, value: T, options?: ValueOptions<T>): void
  /**
   * Sets the value to what `change` makes of the present one.
   * @throws TypeError when `change` gives a promise: what happened meanwhile would be lost
   */
  update<T>(state: State<T>, change: (value: T) => T): void
  update(name: string, change: (value: unknown) => unknown): void
  /** Restarts the time to live. `false`: there is no value. */
  touch<T>(state: State<T> | string): boolean
  /** Whether there is a value; makes none. */
  has<T>(state: State<T> | string): boolean
  /** Deletes the value. Resolves when its callback has run; with `false` when there was no value. */
  delete<T>(state: State<T> | string): Promise<boolean>
  /** Ends the session at once (reason `ended`). Resolves when all its hooks and callbacks have run. */
  end(): Promise<void>
}

type AnyState = Pick<State<unknown>, 'name'> | string

/** The operations on a session's values, whichever way the session is come by. */
export abstract class StateAccess implements SessionValues {
  protected readonly manager: Manager

  constructor(manager: Manager) {
    this.manager = manager
  }

  /** The session, begun if need be. Throws when its life is over. */
  protected abstract use(): Session
  /** The session, if there is one, also when it has ended. */
  protected abstract known(): Session | undefined

  abstract get signal(): AbortSignal

  get id(): string {
    return this.use().id
  }

  get pages(): number {
    return this.known()?.pages ?? 0
  }

  get(state: AnyState): never {
    const { name, definition } = this.#resolve(state)
    const initial = definition?.initial
    if (initial === undefined) return this.peek()?.values.get(name) as never
    const { values } = this.use()
    if (!values.has(name)) values.set(name, initial(), definition?.config ?? NO_OPTIONS)
    return values.get(name) as never
  }

  set(state: AnyState, value: unknown, options?: ValueOptions<never>): void {
    const { name, definition } = this.#resolve(state)
    if (definition !== undefined && options !== undefined) {
      throw invalid('the options of set()', 'given to state(), where this one was defined', options)
    }
    const config = options === undefined ? definition?.config : plainValueConfig(name, options)
    this.#set(name, value, config)
  }

  update(state: AnyState, change: (value: never) => unknown): void {
    const { name, definition } = this.#resolve(state)
    if (typeof change !== 'function') throw invalid('the second argument of update()', 'a function', change)
    const value = change(this.get(state))
    if (isThenable(value)) {
      // What else it fails with would be an unhandled rejection, and end the process.
      if (value instanceof Promise) value.catch(() => {})
      throw new TypeError(
        'Expected the function of update() to give the new value, got a promise. Await first, then update: a value read before an await may be outdated after it.',
      )
    }
    this.#set(name, value, definition?.config)
  }

  touch(state: AnyState): boolean {
    const { name } = this.#resolve(state)
    return this.peek()?.values.touch(name) ?? false
  }

  has(state: AnyState): boolean {
    const { name } = this.#resolve(state)
    return this.peek()?.values.has(name) ?? false
  }

  async delete(state: AnyState): Promise<boolean> {
    const { name } = this.#resolve(state)
    return (await this.peek()?.values.delete(name)) ?? false
  }

  async end(): Promise<void> {
    const session = this.known()
    if (session !== undefined) await this.manager.end(session, 'ended')
  }

  /** The session, if there is one to be used. */
  protected peek(): Session | undefined {
    const session = this.known()
    return session && usable(session)
  }

  #set(name: string, value: unknown, config: ValueConfig | undefined): void {
    const { values } = this.use()
    values.set(name, value, config ?? values.configOf(name) ?? NO_OPTIONS)
  }

  #resolve(state: AnyState) {
    const definition = this.manager.states.resolve(state)
    return { name: definition?.name ?? (state as string), definition }
  }
}

/** Gives the session back, or throws when its life is over. */
export function usable(session: Session): Session {
  if (session.ended === undefined) return session
  throw sessionEnded(session.ended)
}

function sessionEnded(reason: EndReason): GradioStateError {
  return new GradioStateError(
    'SESSION_ENDED',
    `Expected a session that lives, got one that has ended (${reason}). The next request of its user begins a new one.`,
  )
}
