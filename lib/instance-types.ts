// Public types: the instance that gradioState() returns, and what the middleware adds to the requests of Express.

import type { IncomingMessage, Server } from 'node:http'
import type { Multer } from 'multer'
import type { ChannelMessages } from './channel-messages.js'
import type { UploadStorage } from './files/multer-storage.js'
import type { FileStats } from './files/stats.js'
import type { Handler } from './http/adapter.js'
import type { InspectorOptions } from './http/inspector/options.js'
import type { CloseOptions } from './http/shutdown.js'
import type { Closable } from './http/tracked-socket.js'
import type { CloseReport, SessionStats } from './sessions/reports.js'
import type {
  ErrorListener,
  HookEvent,
  HookOptions,
  LeaveEvent,
  RequestState,
  SessionState,
  SharedState,
  SharedStateOptions,
  State,
  StateOptions,
  UploadedFile,
} from './types.js'

declare global {
  namespace Express {
    namespace Multer {
      interface File {
        /** The SHA-256 of the content, in hex. Set by `gradio.upload` and `gradio.storage`. */
        sha256: string
        /** The path at which its own user's browser can load the file. */
        url: string
      }
    }
    interface Request {
      /** The state of the user who sent this request. Set by the middleware. */
      gradioState: RequestState
    }
  }
}

/** The result of `stats()`. */
export interface Stats extends SessionStats, FileStats {}

/** The middleware, with the methods of the instance. It is for `app.use()`, after the session middleware. */
export interface GradioState extends Handler {
  /** A UUID v4 that identifies this instance in {@link ChannelMessages}. Its directory in `cacheDir` has this name. */
  readonly id: string

  /**
   * Defines a value that each session has its own copy of.
   * @throws GradioStateError for an invalid option, or a second definition of the name
   */
  state<T>(name: string, options: StateOptions<T> & { value: T | (() => T) }): State<T>
  state<T = unknown>(name: string, options?: StateOptions<T>): State<T | undefined>

  /**
   * Defines a value that each session has on all nodes of a cluster. It is used through the methods of the returned handle, which take
   * the session first: `await cart.get(req.gradioState)`.
   * @throws GradioStateError as {@link state}
   */
  sharedState<T>(name: string, options: SharedStateOptions<T> & { value: T | (() => T) }): SharedState<T>
  sharedState<T = unknown>(name: string, options?: SharedStateOptions<T>): SharedState<T | undefined>

  /**
   * Runs `hook` when a session becomes loaded: at its first use, and when its user returns after an unload.
   * @returns a function that removes the hook; a second call does nothing
   */
  load(hook: (event: HookEvent) => unknown, options?: HookOptions): () => void
  /**
   * Runs `hook` when the user has left: once per load, `unloadDelay` after the last page closed, and at the latest before the end of the
   * session (Gradio's `Blocks.unload`).
   * @returns a function that removes the hook; a second call does nothing
   */
  unload(hook: (event: LeaveEvent) => unknown, options?: HookOptions): () => void
  /**
   * Runs `hook` when a session has ended, after the delete callbacks of its values.
   * @returns a function that removes the hook; a second call does nothing
   */
  ended(hook: (event: LeaveEvent) => unknown, options?: HookOptions): () => void
  /**
   * Calls `listener` with each error of a hook, a callback, the session store, the files or the cluster. Without a listener, errors
   * go to `console.error`. A listener that is added twice is called once.
   * @throws GradioStateError `OPTION_INVALID` for another event
   */
  on(event: 'error', listener: ErrorListener): this
  /**
   * Removes a listener that {@link on} has added.
   * @throws GradioStateError `OPTION_INVALID` for another event
   */
  off(event: 'error', listener: ErrorListener): this

  /**
   * A preconfigured multer instance that stores files in the session's cache directory: `app.post('/upload', gradio.upload.array('files'), …)`.
   * `req.file` and `req.files` have `sha256` and `url` in addition to multer's own fields. One request may contain 1,000
   * files and 100 text fields of 64 KiB; for other limits, use {@link storage}.
   */
  readonly upload: Multer
  /** The same as a StorageEngine, for a multer instance with your own options and limits, or for `@koa/multer`. */
  readonly storage: UploadStorage
  /**
   * The files that `req` has uploaded through {@link upload} or {@link storage}, in their order: the same for multer's `single`, `array`,
   * `fields` and `any`. In Koa, pass `ctx.req`.
   */
  filesOf(req: IncomingMessage): UploadedFile[]

  /**
   * Counts a socket of the app, such as a `ws` WebSocket or a long response, as a connection of the user who sent `req`,
   * until it closes. `req` must have passed the session middleware and this one.
   * @throws GradioStateError `NOT_MOUNTED`; `OPTION_INVALID` for an object whose close can't be detected: pass an
   * `AbortSignal` instead, and abort it when the user has left
   */
  track(req: IncomingMessage, socket: Closable): void
  /** Serves the client's WebSockets on `server`. Only needed if no request leads to the server. */
  attach(server: Server): void

  /** All sessions in this process, without their scopes. */
  sessions(): SessionState[]
  /** The session or scope with that id, if it is in this process. */
  session(id: string): SessionState | undefined
  /** Ends a session or scope now. Resolves when its hooks and callbacks have run and its files were deleted; with `false` if there was none. */
  endSession(id: string): Promise<boolean>
  stats(): Stats
  /**
   * Creates a middleware that serves a page for operators, which shows the sessions of this process and can end them:
   * `app.use('/admin/sessions', gradio.inspector({ authorize }))`. In Koa, pass it to `koa()`.
   * @throws GradioStateError `OPTION_INVALID`, for example without `authorize`
   */
  inspector(options: InspectorOptions): Handler
  /**
   * Refuses new use (`CLOSED`, 503), closes the sockets of all pages, and ends all sessions with their hooks and callbacks (reason
   * `shutdown`). With `server`, the process can exit afterwards.
   * @returns what had not settled within the time limit
   * @throws GradioStateError `OPTION_INVALID`
   */
  close(options?: CloseOptions): Promise<CloseReport>
}
