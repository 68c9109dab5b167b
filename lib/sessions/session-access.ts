import type { SessionView } from '../types.js'
import type { SharedValue } from './shared-value-store.js'
import type { StateRegistry } from './value-definition.js'
import type { Values } from './values.js'

/** Internal: objects that represent a session give access to it by this method. */
export const SESSION: unique symbol = Symbol('gradio-state: session')

/** An object that represents a session: `req.gradioState`, `gradio.session(id)`, or `event.session` in a hook. */
export interface SessionSource {
  [SESSION](): SessionAccess
}

/** How the methods of a shared value access the session that they receive. */
export interface SessionAccess {
  /** The state definitions of the instance that the session belongs to. */
  readonly states: StateRegistry
  /**
   * The session, or `undefined` if it has not started.
   * @throws GradioStateError `SESSION_ENDED`, unless {@link begin} is missing
   */
  readonly find: () => SharedOwner | undefined | Promise<SharedOwner | undefined>
  /** The session, started if necessary. Missing in hooks and callbacks, which can only read, and create no initial value. */
  readonly begin?: () => Promise<SharedOwner>
}

/** What shared values need from their session. */
export interface SharedOwner {
  readonly token: string
  readonly id: string
  readonly view: SessionView
  readonly values: Pick<Values, 'track'>
  /** Set while the session ends: the shared values that hooks can still read. */
  sharedAtEnd: readonly SharedValue[] | undefined
}

export function isSessionSource(value: unknown): value is SessionSource {
  return typeof value === 'object' && value !== null && SESSION in value
}
