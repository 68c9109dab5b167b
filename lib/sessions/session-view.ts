export declare const valueType: unique symbol

/** A typed name for a value that each session holds for itself. Made by `gradio.state()`. */
export interface State<T> {
  readonly name: string
  /** For the compiler only: ties the type of the value to the definition. */
  readonly [valueType]?: { readonly local: (value: T) => T }
}

/** A session as hooks and callbacks see it. */
export interface SessionView {
  /** A uuid v4, new for each life; no credential, so it may stand in logs and directory names. */
  readonly id: string
  readonly createdAt: Date
  /** What the `info` option noted when the session was made. */
  readonly info: unknown
  /** Where the session's files are, if it has any. It goes after all hooks and callbacks. */
  readonly directory: string
  /**
   * The value as it is, without making an initial one; in `ended` hooks, as it was at the end. A shared value is read
   * through its handle: `await cart.get(session)`.
   */
  get<T>(state: State<T>): T | undefined
  get(name: string): unknown
}
