import { invalid, sessionEnded } from '../errors.js'
import { neglect } from '../util/foreign-promise.js'
import type { MaybePromise } from './engine.js'
import { notPromise } from './hooks.js'
import type { Session } from './session.js'
import type { SessionValues } from './session-values.js'
import type { State } from './session-view.js'
import type { Sessions } from './sessions.js'
import { SharedDefinition } from './shared-definition.js'
import type { SharedAccess } from './shared-values.js'
import { NO_OPTIONS, plainValueConfig, type ValueConfig, type ValueOptions } from './value-definition.js'

type AnyState = Pick<State<unknown>, 'name'> | string

/**
 * The operations on a session's values, whichever way the session is come by. What each of them gives is told by the
 * overloads of {@link SessionValues}; `never` fits them all.
 */
export abstract class StateAccess implements SessionValues {
  protected readonly manager: Sessions

  constructor(manager: Sessions) {
    this.manager = manager
  }

  /** The session, begun if need be. Throws when its life is over. */
  protected abstract use(): Session
  /** As {@link use}, for who can wait for an engine that answers later. */
  protected abstract useLater(): MaybePromise<Session>
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
    if (state instanceof SharedDefinition) return this.#getShared(state) as never
    const { name, definition } = this.#resolve(state)
    const initial = definition?.initial
    if (initial === undefined) return this.peek()?.values.get(name) as never
    const { values } = this.use()
    if (!values.has(name)) {
      const value = initial()
      // Where that is a promise, who reads the value hears of its failure.
      neglect(value)
      values.set(name, value, definition?.config ?? NO_OPTIONS)
    }
    return values.get(name) as never
  }

  set(state: AnyState, value: unknown, options?: ValueOptions<never>): never {
    if (state instanceof SharedDefinition) return this.#setShared(state, value, options) as never
    const { name, definition } = this.#resolve(state)
    if (definition !== undefined) refuseOptions(options)
    const config = options === undefined ? definition?.config : plainValueConfig(name, options)
    return this.#set(name, value, config) as never
  }

  update(state: AnyState, change: (value: never) => unknown): never {
    if (state instanceof SharedDefinition) return this.#updateShared(state, change) as never
    const { name, definition } = this.#resolve(state)
    checkChange(change)
    return this.#set(name, notPromise(change(this.get(state))), definition?.config) as never
  }

  touch(state: AnyState): never {
    if (state instanceof SharedDefinition)
      return this.#ask(state, false, (shared, session) => shared.touch(session, state)) as never
    const { name } = this.#resolve(state)
    return (this.peek()?.values.touch(name) ?? false) as never
  }

  has(state: AnyState): never {
    if (state instanceof SharedDefinition)
      return this.#ask(state, false, (shared, session) => shared.has(session, state)) as never
    const { name } = this.#resolve(state)
    return (this.peek()?.values.has(name) ?? false) as never
  }

  async delete(state: AnyState): Promise<boolean> {
    if (state instanceof SharedDefinition)
      return this.#ask(state, false, (shared, session) => shared.delete(session, state))
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

  async #getShared(state: SharedDefinition): Promise<unknown> {
    if (state.initial === undefined) {
      return this.#ask(state, undefined, (shared, session) => shared.get(session, state))
    }
    this.#resolve(state)
    return this.manager.shared.get(await this.useLater(), state)
  }

  async #setShared(state: SharedDefinition, value: unknown, options: unknown): Promise<void> {
    this.#resolve(state)
    refuseOptions(options)
    // At once: what the app does to the value later is another write.
    const text = state.encode(value)
    await this.manager.shared.set(await this.useLater(), state, text)
  }

  async #updateShared(state: SharedDefinition, change: (value: never) => unknown): Promise<void> {
    this.#resolve(state)
    checkChange(change)
    await this.manager.shared.update(await this.useLater(), state, change)
  }

  /** Does what makes no session; without one, its answer is `absent`. */
  async #ask<T>(
    state: SharedDefinition,
    absent: T,
    work: (shared: SharedAccess, session: Session) => Promise<T>,
  ): Promise<T> {
    this.#resolve(state)
    const session = this.peek()
    return session === undefined ? absent : work(this.manager.shared, session)
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

function checkChange(change: unknown): void {
  if (typeof change !== 'function') throw invalid('the second argument of update()', 'a function', change)
}

function refuseOptions(options: unknown): void {
  if (options !== undefined)
    throw invalid('the options of set()', 'given to state(), where this one was defined', options)
}
