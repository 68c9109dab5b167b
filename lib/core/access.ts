import type { EndReason } from '../engines/engine.js'
import { GradioStateError, invalid } from '../errors.js'
import { isThenable } from './hooks.js'
import type { Manager } from './manager.js'
import type { Session } from './session.js'
import type { SessionValues } from './session-values.js'
import { NO_OPTIONS, plainValueConfig, type ValueConfig, type ValueOptions } from './state.js'
import type { State } from './view.js'

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
    const session = this.known()
    return session === undefined ? 0 : session.pages + session.pagesElsewhere
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
