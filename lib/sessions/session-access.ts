import type { SessionView } from '../types.js'
import type { SharedValue } from './shared-value-store.js'
import type { StateRegistry } from './value-definition.js'
import type { Values } from './values.js'

/** Internal: under this key, whatever stands for a session gives access to it. */
export const SESSION: unique symbol = Symbol('gradio-state: session')

/** What stands for a session: `req.gradioState`, `gradio.session(id)`, and `event.session` in a hook. */
export interface SessionSource {
  [SESSION](): SessionAccess
}

/** How the methods of a shared value reach the session that they are given. */
export interface SessionAccess {
  /** The definitions of the instance that the session belongs to. */
  readonly states: StateRegistry
  /**
   * The session, if there is one to be used.
   * @throws GradioStateError `SESSION_ENDED`, unless {@link begin} is missing
   */
  readonly find: () => SharedOwner | undefined
  /** The session, begun if need be. Missing in hooks and callbacks, which only read, and make no initial value. */
  readonly begin?: () => Promise<SharedOwner>
}

/** What shared values know of their session. */
export interface SharedOwner {
  readonly token: string
  readonly id: string
  readonly view: SessionView
  readonly values: Pick<Values, 'track'>
  /** Set while the session ends: the shared values that end with it, as far as hooks may read them. */
  sharedAtEnd: readonly SharedValue[] | undefined
}

export function isSessionSource(value: unknown): value is SessionSource {
  return typeof value === 'object' && value !== null && SESSION in value
}
