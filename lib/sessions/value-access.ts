import { sessionEnded } from '../errors.js'
import type { SessionValues, State, ValueOptions } from '../types.js'
import { neglect } from '../util/foreign-promise.js'
import { notPromise } from './hooks.js'
import type { Session } from './session.js'
import { SESSION, type SessionAccess, type SessionSource } from './session-access.js'
import type { Sessions } from './sessions.js'
import {
  checkChange,
  type NamedState,
  NO_OPTIONS,
  plainValueConfig,
  type ResolvedState,
  refuseOptions,
  type ValueConfig,
} from './value-definition.js'

/** The operations on a session's values, independent of how the session is found. */
export abstract class StateAccess implements SessionValues, SessionSource {
  protected readonly sessions: Sessions

  constructor(sessions: Sessions) {
    this.sessions = sessions
  }

  /** The session, started if necessary. Throws when it has ended. */
  protected abstract use(): Session
  /** Like {@link use}, for callers that can wait for the cluster. */
  protected abstract useLater(): Promise<Session>
  /** The session if it exists, even if it has ended. */
  protected abstract known(): Session | undefined

  abstract get signal(): AbortSignal

  get id(): string {
    return this.use().id
  }

  get pages(): number {
    const session = this.known()
    return session === undefined ? 0 : session.pages + session.pagesElsewhere
  }

  get<T>(state: State<T>): T
  get(name: string): unknown
  get(state: NamedState): unknown {
    return this.#get(this.#resolve(state))
  }

  set<T>(state: State<T>, value: T): void
  set<T>(name: string, value: T, options?: ValueOptions<T>): void
  set(state: NamedState, value: unknown, options?: ValueOptions<never>): void {
    const { name, config } = this.#resolve(state)
    if (config !== undefined) refuseOptions(options)
    this.#set(name, value, options === undefined ? config : plainValueConfig(name, options))
  }

  update<T>(state: State<T>, change: (value: T) => T): T
  update(name: string, change: (value: unknown) => unknown): unknown
  update(state: NamedState, change: (value: unknown) => unknown): unknown {
    const resolved = this.#resolve(state)
    checkChange(change)
    const value = notPromise(change(this.#get(resolved)))
    this.#set(resolved.name, value, resolved.config)
    return value
  }

  touch(state: NamedState): boolean {
    const { name } = this.#resolve(state)
    return this.peek()?.values.touch(name) ?? false
  }

  has(state: NamedState): boolean {
    const { name } = this.#resolve(state)
    return this.peek()?.values.has(name) ?? false
  }

  async delete(state: NamedState): Promise<boolean> {
    const { name } = this.#resolve(state)
    return (await this.peek()?.values.delete(name)) ?? false
  }

  [SESSION](): SessionAccess {
    return {
      states: this.sessions.states,
      find: () => this.peek(),
      begin: () => this.useLater(),
    }
  }

  async end(): Promise<void> {
    const session = this.known()
    if (session !== undefined) await this.sessions.end(session, 'ended')
  }

  /** The session if it exists. Throws when it has ended. */
  protected peek(): Session | undefined {
    const session = this.known()
    return session && usable(session)
  }

  #get({ name, initial, config = NO_OPTIONS }: ResolvedState): unknown {
    if (initial === undefined) return this.peek()?.values.get(name)
    const { values } = this.use()
    if (!values.has(name)) {
      const value = initial()
      // The code that reads the value handles the rejection of a promise.
      neglect(value)
      values.set(name, value, config)
    }
    return values.get(name)
  }

  #set(name: string, value: unknown, config: ValueConfig | undefined): void {
    const { values } = this.use()
    values.set(name, value, config ?? values.configOf(name) ?? NO_OPTIONS)
  }

  #resolve(state: NamedState): ResolvedState {
    return this.sessions.states.resolve(state)
  }
}

/** Returns the session, or throws when it has ended. */
export function usable(session: Session): Session {
  if (session.ended === undefined) return session
  throw sessionEnded(session.ended)
}
