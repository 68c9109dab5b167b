import type { SessionFileMethods } from './file-types.js'
import type { Duration, Size } from './parse.js'

// Public types: the arguments of an app's handlers, hooks and callbacks. The types of the options are in options.ts and
// file-options.ts, the type of the instance in instance-types.ts.

export type {
  CachedFile,
  FileData,
  FileReference,
  Pin,
  SessionFileMethods,
  UploadedFile,
} from './file-types.js'

/** The state of the user who sent the request: `req.gradioState`. A request that doesn't use it creates no session. */
export interface RequestState extends SessionState {
  /**
   * The scope of the browser tab that sent the request; `undefined` if the request doesn't name its tab. It is open while a page of the
   * tab is connected or a request that has used it is in flight.
   */
  readonly tab: ScopeState | undefined
  /**
   * Resolves when this browser's next requests will reach this session, even while this response is still being written. Await it
   * before the first use in a handler that streams, or that renders a page whose script sends parallel requests.
   * @throws GradioStateError `HEADERS_SENT` when the response can't set the session's cookie any more
   */
  establish(): Promise<void>
}

/** The values and files of one session: the type of `req.gradioState` and of the result of `gradio.session(id)`. */
export interface SessionState extends ScopeState {
  /**
   * The session's scope with that key: a session below this one, with its own values, files, directory, `id` and `signal`. It starts at its
   * first use. A request that uses it keeps it open until its response is over. It ends when it has been closed for the grace period, and
   * always before this session. Its files count towards the limits of this session.
   * @param key 1 to 256 characters. Not a credential, since it is only valid in this session
   * @throws GradioStateError `OPTION_INVALID`; at the first use, `TOO_MANY_SCOPES` when `maxScopes` scopes are open
   */
  scoped(key: string): ScopeState
}

/** The values and files of a session or a scope. Scopes can't be nested. */
export interface ScopeState extends SessionValues, SessionFileMethods {}

/**
 * The values of one session in this process. A value that is shared by all nodes is used through its handle, which
 * `gradio.sharedState()` returns.
 */
export interface SessionValues {
  /** A UUID v4, new for each session. Not a credential, so it may appear in logs and directory names. */
  readonly id: string
  /** How many pages are connected. A socket passed to `track()` counts as one. */
  readonly pages: number
  /** Aborts when the session is unloaded: to stop work for a user who has left. */
  readonly signal: AbortSignal

  /** The value. If there is none, the initial value is created. */
  get<T>(state: State<T>): T
  get(name: string): unknown
  /**
   * Sets the value and restarts its time to live. Setting the identical reference replaces nothing. Under a plain name, the options
   * apply to this value and to later ones that are set without options.
   */
  set<T>(state: State<T>, value: T): void
  set<T>(name: string, value: T, options?: ValueOptions<T>): void
  /**
   * Sets the value to the result of `change`, which receives the current value. Returns the new value.
   * @throws TypeError when `change` returns a promise: changes made in the meantime would be lost
   */
  update<T>(state: State<T>, change: (value: T) => T): T
  update(name: string, change: (value: unknown) => unknown): unknown
  /** Restarts the time to live. Returns `false` if there is no value. */
  touch<T>(state: State<T> | string): boolean
  /** Whether there is a value. Doesn't create the initial value. */
  has<T>(state: State<T> | string): boolean
  /** Deletes the value. Resolves when its callback has run, or with `false` if there was no value. */
  delete<T>(state: State<T> | string): Promise<boolean>
  /** Ends the session now (reason `ended`). Resolves when all its hooks and callbacks have run. */
  end(): Promise<void>
}

export declare const valueType: unique symbol

/** A typed name of a value that each session has its own copy of. Created by `gradio.state()`. */
export interface State<T> {
  readonly name: string
  /** For the compiler only: ties the type of the value to the definition. */
  readonly [valueType]?: { readonly local: (value: T) => T }
}

/** A session in the events of hooks and callbacks. */
export interface SessionView {
  /** A UUID v4, new for each session. Not a credential, so it may appear in logs and directory names. */
  readonly id: string
  /** Of a scope: the session that it belongs to. */
  readonly parent: SessionView | undefined
  /** Of a scope: its key. */
  readonly key: string | undefined
  readonly createdAt: Date
  /** The result of the `info` option when the session started; of a scope, that of its session. */
  readonly info: unknown
  /** The path of the session's files, if it has any, which contains that of `directory()`. Deleted after all hooks and callbacks. */
  readonly directory: string
  /**
   * The current value, without creating the initial one; in `ended` hooks, the final value. A shared value is read through its
   * handle: `await cart.get(session)`.
   */
  get<T>(state: State<T>): T | undefined
  get(name: string): unknown
}

/**
 * A value that each session has on all nodes of a cluster. Created by `gradio.sharedState()`. Its methods take the session
 * first: `req.gradioState`, or the result of `gradio.session(id)`. `event.session` of hooks and callbacks is read-only.
 *
 * All methods reject with a GradioStateError: `SESSION_ENDED`; `STATE_FOREIGN` for a session of another instance; in a cluster
 * also `CLUSTER_UNAVAILABLE`.
 */
export interface SharedState<T> {
  readonly name: string
  /** A copy of the value. If there is none, the initial value is created. */
  get(session: SessionValues): Promise<T>
  /** The current value, without creating the initial one; in `ended` hooks, the final value. */
  get(session: SessionView): Promise<T | undefined>
  /**
   * Sets the value and restarts its time to live. A value with the same text replaces nothing.
   * @throws GradioStateError `VALUE_UNSERIALIZABLE`, `VALUE_TOO_LARGE`
   */
  set(session: SessionValues, value: T): Promise<void>
  /**
   * Sets the value to the result of `change`, which receives the current value. Atomic: if the value was set in the meantime, `change` is
   * called again with the new one. Resolves with the new value.
   * @throws TypeError when `change` returns a promise: changes made in the meantime would be lost. GradioStateError as {@link set}
   */
  update(session: SessionValues, change: (value: T) => T): Promise<T>
  /** Restarts the time to live. Resolves with `false` if there is no value. */
  touch(session: SessionValues): Promise<boolean>
  /** Whether there is a value. Doesn't create the initial value. */
  has(session: SessionValues | SessionView): Promise<boolean>
  /** Deletes the value. Resolves when its callback has run, or with `false` if there was no value. */
  delete(session: SessionValues): Promise<boolean>
  /** For the compiler only: a shared state isn't a {@link State}. */
  readonly [valueType]?: { readonly shared: (value: T) => T }
}

export interface ValueOptions<T> {
  /** The value is deleted this long after it was created or updated, even while the user is present. @default never */
  timeToLive?: Duration
  /** Called once for each value that is deleted, for any reason. May be async. */
  deleteCallback?: (value: T, event: DeleteEvent) => unknown
  /**
   * Whether overwriting a value counts as deleting it (`replaced`). Set it to `false` if a new value continues to use the old one.
   * @default true for disposable values (`Symbol.asyncDispose`, `Symbol.dispose`) without a `deleteCallback`, else false, as in Gradio
   */
  deleteReplaced?: boolean
}

export interface StateOptions<T> extends ValueOptions<T> {
  /** The initial value: cloned for each session, or a function that makes it. @default undefined */
  value?: T | (() => T)
}

export interface SharedStateOptions<T> extends StateOptions<T> {
  /**
   * Converts values to text and back. @default Node's `v8.serialize`: plain data, including Date, Map, Set, bigint, typed arrays, Buffer
   * and cycles
   */
  codec?: Codec<T>
  /** The largest size of a value's text. @default '1mb' */
  maxSize?: Size
}

/** Converts the values of a shared state to text and back. */
export interface Codec<T> {
  encode(value: T): string
  decode(text: string): T
}

/** Why a session was unloaded or ended. */
export type Reason =
  | 'disconnected'
  | 'expired'
  | 'destroyed'
  | 'regenerated'
  | 'evicted'
  | 'ended'
  | 'shutdown'

/** The second argument of `load()`, `unload()` and `ended()`. */
export interface HookOptions {
  /** Whether the hook also runs for scopes, whose `session.parent` is set. @default false */
  scoped?: boolean
}

/** The event of a hook. */
export interface HookEvent {
  readonly session: SessionView
  /** Identifies the event if it is repeated after a node has crashed. */
  readonly key: string
  /** Aborts at the time limit (`hookTimeout`). */
  readonly signal: AbortSignal
}

/** The event of an `unload` or `ended` hook. */
export interface LeaveEvent extends HookEvent {
  readonly reason: Reason
}

/** A function of the app that this library calls. */
export type HookName = 'load' | 'unload' | 'ended' | 'deleteCallback' | 'info'

/** Where an error came from. */
export interface ErrorContext {
  /** What failed: a hook, a callback, the `info` option, the cluster, the maintenance of the files, or the session store. */
  readonly source: HookName | 'cluster' | 'files' | 'store'
  /** The id of the session it was called for. */
  readonly session?: string
  /** The name of the value, of a `deleteCallback`. */
  readonly name?: string
}

export type ErrorListener = (error: unknown, context: ErrorContext) => void

/** Why a value was deleted. */
export type DeleteReason = Reason | 'timeToLive' | 'deleted' | 'replaced'

/** The second argument of a delete callback. */
export interface DeleteEvent {
  readonly reason: DeleteReason
  readonly session: SessionView
  /** The name of the value. */
  readonly name: string
  /** Identifies the deletion if it is repeated after a node has crashed. */
  readonly key: string
  /** Aborts at the time limit (`hookTimeout`). */
  readonly signal: AbortSignal
}
