import type { SessionView, State } from '../types.js'
import { SESSION, type SessionAccess, type SessionSource, type SharedOwner } from './session-access.js'
import type { NamedState, StateRegistry } from './value-definition.js'
import type { Values } from './values.js'

/** The data of a session that hooks see. */
interface EventSource extends SharedOwner {
  readonly parent: { readonly view: SessionView } | undefined
  readonly key: string | undefined
  readonly createdAt: number
  readonly info: unknown
  readonly values: Values
}

interface EventSessionContext {
  readonly states: StateRegistry
  readonly directoryOf: (id: string) => string
}

/** A session as hooks and callbacks see it: `event.session`. */
export class EventSession implements SessionView, SessionSource {
  readonly id: string
  readonly info: unknown
  readonly #session: EventSource
  readonly #context: EventSessionContext

  constructor(session: EventSource, context: EventSessionContext) {
    this.id = session.id
    this.info = session.info
    this.#session = session
    this.#context = context
  }

  get parent(): SessionView | undefined {
    return this.#session.parent?.view
  }

  get key(): string | undefined {
    return this.#session.key
  }

  get createdAt(): Date {
    return new Date(this.#session.createdAt)
  }

  get directory(): string {
    return this.#context.directoryOf(this.id)
  }

  get<T>(state: State<T>): T | undefined
  get(name: string): unknown
  get(state: NamedState): unknown {
    return this.#session.values.getOrFinal(this.#context.states.resolve(state).name)
  }

  [SESSION](): SessionAccess {
    return { states: this.#context.states, find: () => this.#session }
  }

  /** For logs. */
  toJSON() {
    const { id, createdAt, info, directory, parent, key } = this
    return { id, createdAt, info, directory, ...(parent && { parent: parent.id, key }) }
  }
}
