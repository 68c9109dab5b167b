import type { SessionValues } from './session-values.js'
import type { SessionView, valueType } from './session-view.js'

/**
 * A value that each session holds for itself on all nodes. Made by `gradio.sharedState()`. Its methods take the session
 * first: `req.gradioState`, or what `gradio.session(id)` returned. In hooks and callbacks `event.session` can be read.
 *
 * All methods reject with a GradioStateError: `SESSION_ENDED`; `STATE_FOREIGN` for a session of another instance; in a cluster
 * also `ENGINE_UNAVAILABLE`.
 */
export interface SharedState<T> {
  readonly name: string
  /** The value, as a copy; where there is none, the initial value is made. */
  get(session: SessionValues): Promise<T>
  /** The value as it is, without making an initial one; in `ended` hooks, as it was at the end. */
  get(session: SessionView): Promise<T | undefined>
  /**
   * Sets the value and restarts its time to live. A value that makes the same text replaces nothing.
   * @throws GradioStateError `VALUE_UNSERIALIZABLE`, `VALUE_TOO_LARGE`
   */
  set(session: SessionValues, value: T): Promise<void>
  /**
   * Sets the value to what `change` makes of the present one. Atomic: when the value was set meanwhile, `change` is called
   * again with the new one.
   * @throws TypeError when `change` returns a promise: changes made meanwhile would be lost. GradioStateError as {@link set}
   */
  update(session: SessionValues, change: (value: T) => T): Promise<void>
  /** Restarts the time to live. `false`: there is no value. */
  touch(session: SessionValues): Promise<boolean>
  /** Whether there is a value; makes none. */
  has(session: SessionValues | SessionView): Promise<boolean>
  /** Deletes the value. Resolves when its callback has run; with `false` when there was no value. */
  delete(session: SessionValues): Promise<boolean>
  /** For the compiler only: a shared state is no {@link State}. */
  readonly [valueType]?: { readonly shared: (value: T) => T }
}
