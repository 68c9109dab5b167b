import type { State } from './session-view.js'
import type { ValueOptions } from './value-definition.js'

/**
 * The values of one session, in this process. A value that follows the user over all nodes is used through its handle, which
 * `gradio.sharedState()` returned.
 */
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
   * Sets the value and restarts its time to live. The identical reference replaces nothing. Under a plain name the options
   * hold for this value and for those that follow it without options.
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
