import type { Duration, Size } from './parse.js'

// The public types of what an app's handlers, hooks and callbacks are given. Those of the options are in options.ts and
// file-options.ts, that of the instance in index.ts.

/** The state of the user who sent the request: `req.gradioState`. Free until used: a request that doesn't use it leaves no trace. */
export interface RequestState extends SessionState {
  /**
   * Sees to it that this browser's next requests come to this session, even while this answer is still being
   * written: await it before the first use in a handler that streams, or where a page is rendered whose script will send
   * requests in parallel.
   * @throws GradioStateError `HEADERS_SENT` when the browser can't be told of the session any more
   */
  establish(): Promise<void>
}

/** Values and files of one session: what `gradio.session(id)` gives, and what `req.gradioState` is too. */
export interface SessionState extends SessionValues, SessionFileMethods {}

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

/** The files of one session. */
export interface SessionFileMethods {
  /**
   * The session's own directory, for files that the app writes by itself. They are found by the sweep, counted when they
   * are found, and go when the session ends.
   */
  directory(): Promise<string>
  /**
   * Stores a file in the cache. The same bytes under the same name are stored once.
   * @param data bytes, a string as text, a stream, a Blob; a file on the disk as `{ path }`
   * @param options `name`: what browsers are told; made safe. Default: the data's own name, else `file`
   * @throws GradioStateError `FILE_TOO_LARGE`, `SESSION_FULL`, `CACHE_FULL` (413), `DISK_FULL` (507); nothing is left then
   */
  saveFile(data: FileData, options?: { name?: string }): Promise<CachedFile>
  /** The files that were saved or uploaded and not yet deleted. */
  files(): CachedFile[]
  /** @throws GradioStateError `FILE_UNKNOWN` */
  pin(file: FileReference): Pin
  /**
   * Moves a file out of the cache to `destination`, to keep it; gives its absolute path. Nothing may be there yet.
   * @throws GradioStateError `FILE_UNKNOWN`
   */
  adopt(file: FileReference, destination: string): Promise<string>
}

/** A file in the cache, as apps see it. */
export interface CachedFile {
  /** Where the browser of its own user finds it. */
  readonly url: string
  readonly path: string
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** Of the content, in hex. */
  readonly sha256: string
  /** By the ending of the name: what a browser says of its upload is not to be trusted. */
  readonly mimeType: string
}

/** A file of the session, by what tells it from others. */
export type FileReference = Pick<CachedFile, 'sha256' | 'name'>

/** Keeps a file from being swept until it is released, by hand or by `using`. */
export interface Pin extends Disposable {
  release(): void
}

/**
 * What a file can be made of: bytes, a string as text, a stream, a Blob. A file on the disk only as `{ path }`: a string
 * is never a path, since it may come from a user.
 */
export type FileData =
  | string
  | ArrayBuffer
  | Uint8Array
  | Blob
  | AsyncIterable<string | Uint8Array>
  | ReadableStream<Uint8Array>
  | { readonly path: string }

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

/**
 * A value that each session holds for itself on all nodes. Made by `gradio.sharedState()`. Its methods take the session
 * first: `req.gradioState`, or what `gradio.session(id)` returned. In hooks and callbacks `event.session` can be read.
 *
 * All methods reject with a GradioStateError: `SESSION_ENDED`; `STATE_FOREIGN` for a session of another instance; in a cluster
 * also `CLUSTER_UNAVAILABLE`.
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

export interface ValueOptions<T> {
  /** The value is deleted this long after it was created or updated, whether or not the user is here. @default never */
  timeToLive?: Duration
  /** Called once with each value that is deleted, whatever the reason; may be async. */
  deleteCallback?: (value: T, event: DeleteEvent) => unknown
  /**
   * Whether a value that another one overwrites counts as deleted (`replaced`). Set it to `false` where a new value goes on using the old
   * one. @default true for disposable values (`Symbol.asyncDispose`, `Symbol.dispose`) without a `deleteCallback`, else false, as in Gradio
   */
  deleteReplaced?: boolean
}

export interface StateOptions<T> extends ValueOptions<T> {
  /** The initial value: cloned for each session, or a function that makes it. @default undefined */
  value?: T | (() => T)
}

export interface SharedStateOptions<T> extends StateOptions<T> {
  /**
   * How values become text. @default Node's `v8.serialize`: plain data, also with Date, Map, Set, bigint, typed arrays, Buffer
   * and cycles
   */
  codec?: Codec<T>
  /** How many bytes the text of a value may have. @default '1mb' */
  maxSize?: Size
}

/** How the values of a shared state become text, and values again. */
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

/** What a hook is told. */
export interface HookEvent {
  readonly session: SessionView
  /** The same for the same event, should it ever be repeated after a crash of a node. */
  readonly key: string
  /** Aborts when the time limit (`hookTimeout`) is over. */
  readonly signal: AbortSignal
}

/** What an `unload` or `ended` hook is told. */
export interface LeaveEvent extends HookEvent {
  readonly reason: Reason
}

/** A function of the app that this library calls. */
export type HookName = 'load' | 'unload' | 'ended' | 'deleteCallback' | 'info'

/** Where an error came from. */
export interface ErrorContext {
  /** What failed: a hook, a callback, the `info` option, the cluster, the care of the files, or the session store. */
  readonly source: HookName | 'cluster' | 'files' | 'store'
  /** The id of the session it was called for. */
  readonly session?: string
  /** The name of the value, of a `deleteCallback`. */
  readonly name?: string
}

export type ErrorListener = (error: unknown, context: ErrorContext) => void

/** Why a value was deleted. */
export type DeleteReason = Reason | 'timeToLive' | 'deleted' | 'replaced'

/** What a delete callback is told beside the value. */
export interface DeleteEvent {
  readonly reason: DeleteReason
  readonly session: SessionView
  /** The name of the value. */
  readonly name: string
  /** The same for the same deletion, should it ever be repeated after a crash of a node. */
  readonly key: string
  /** Aborts when the time limit (`hookTimeout`) is over. */
  readonly signal: AbortSignal
}
