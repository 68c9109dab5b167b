import type { IncomingMessage, Server } from 'node:http'
import type { Multer } from 'multer'
import { agreedOptions } from './agreed-options.js'
import { Events } from './events.js'
import { FileCache } from './files/cache.js'
import { MulterStorage, type UploadStorage } from './files/multer-storage.js'
import type { FileStats } from './files/stats.js'
import { ADMIT, type Admit, type Handler } from './http/adapter.js'
import { Exchanges } from './http/exchanges.js'
import { inspectorOf } from './http/inspector/express.js'
import { Inspectors } from './http/inspector/inspectors.js'
import type { InspectorOptions } from './http/inspector/options.js'
import { KnownSession } from './http/known-session.js'
import { admit, attach, handle, stateOf } from './http/middleware.js'
import { MountPaths } from './http/mount-paths.js'
import { Routes } from './http/routes.js'
import { type CloseOptions, Shutdown } from './http/shutdown.js'
import { Succession } from './http/succession.js'
import { track } from './http/track.js'
import type { Closable } from './http/tracked-socket.js'
import { multerOf, uploadTo } from './http/upload-route.js'
import { expectOptions, explainMissingState } from './http/wiring.js'
import { ExpiryWatcher } from './identity/expiry-watcher.js'
import { ExpressStore } from './identity/express-store.js'
import { Identity } from './identity/identity.js'
import { type GradioStateOptions, parseOptions } from './options.js'
import { PageUpgrades } from './pages/page-upgrades.js'
import { Pages } from './pages/pages.js'
import { checkFunction } from './sessions/hook-set.js'
import { checkEvent } from './sessions/hooks.js'
import type { CloseReport, SessionStats } from './sessions/reports.js'
import { Sessions } from './sessions/sessions.js'
import type { AnySharedStateOptions } from './sessions/shared-definition.js'
import { SharedHandle } from './sessions/shared-handle.js'
import { type AnyStateOptions, StateDefinition } from './sessions/value-definition.js'
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

export type { ChannelMessages, HookOutcome, LifecycleMessage, SessionMessage } from './channel-messages.js'
export type { CookieOptions } from './cookie-options.js'
export { type ErrorCode, GradioStateError } from './errors.js'
export type { StoredFields, UploadStorage } from './files/multer-storage.js'
export type { Handler } from './http/adapter.js'
export type { InspectorOptions } from './http/inspector/options.js'
export type { ClosableServer } from './http/server-closing.js'
export type { CloseOptions } from './http/shutdown.js'
export type { Closable } from './http/tracked-socket.js'
export type { GradioStateOptions, SessionStore } from './options.js'
export type { Duration, Size } from './parse.js'
export type { Cluster } from './sessions/cluster-option.js'
export type { CloseReport } from './sessions/reports.js'
export type {
  CachedFile,
  Codec,
  DeleteEvent,
  DeleteReason,
  ErrorContext,
  ErrorListener,
  FileData,
  FileReference,
  HookEvent,
  HookName,
  HookOptions,
  LeaveEvent,
  Pin,
  Reason,
  RequestState,
  ScopeState,
  SessionState,
  SessionValues,
  SessionView,
  SharedState,
  SharedStateOptions,
  State,
  StateOptions,
  UploadedFile,
  ValueOptions,
} from './types.js'
export type { Clock } from './util/clock.js'

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
   * Runs `hook` when a session becomes loaded: at its first use, and when its user returns after an unload. @returns a function that
   * removes the hook; a second call does nothing
   */
  load(hook: (event: HookEvent) => unknown, options?: HookOptions): () => void
  /**
   * Runs `hook` when the user has left: once per load, `unloadDelay` after the last page closed, and at the latest before the end of the
   * session (Gradio's `Blocks.unload`). @returns a function that removes the hook; a second call does nothing
   */
  unload(hook: (event: LeaveEvent) => unknown, options?: HookOptions): () => void
  /**
   * Runs `hook` when a session has ended, after the delete callbacks of its values. @returns a function that removes the hook; a second
   * call does nothing
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

/**
 * Creates the middleware. Each call creates a separate instance; an app needs one.
 * @throws GradioStateError `OPTION_INVALID` for an invalid option
 */
export function gradioState(options?: GradioStateOptions): GradioState {
  expectOptions(options)
  const config = parseOptions(options)
  explainMissingState()
  const events = new Events()
  const cache = new FileCache(config, () => config.clock.now(), events)
  const sessions = new Sessions(
    { ...config, events, directoryOf: id => cache.pathOf(id), agreedOptions: agreedOptions(config) },
    config.cluster?.(),
  )
  const reportFiles = (error: unknown) => sessions.hooks.report(error, { source: 'files' })
  const storage = new MulterStorage(req => {
    const state = stateOf(sessions, req)
    return { files: state.store(), present: file => state.present(file) }
  }, reportFiles)
  const watcher = new ExpiryWatcher(sessions, config)
  if (config.store !== undefined) watcher.watchStore(ExpressStore.of(config.store))
  const identity = new Identity(config, watcher, sessions)
  const inspectors = new Inspectors(sessions)
  const exchanges = new Exchanges(sessions.deadlines)
  const mountPaths = new MountPaths()
  const shared = { config, sessions, cache, identity, mountPaths, exchanges, inspectors }
  const pages = new Pages(sessions, config.clock, token => identity.renewalInterval(token))
  const upgrades = new PageUpgrades(pages, sessions, config.heartbeat, (page, req) =>
    identity.returningCookies.socketOpened(page, req),
  )
  const routes = new Routes(shared, { pages, upgrades, upload: uploadTo(storage) })
  const succession = new Succession({
    tokenOf: request => identity.tokenStorageOf(request).find(),
    hasSession: token => sessions.find(token) !== undefined,
    hasPage: page => sessions.all().some(({ pageList }) => pageList?.find(page) !== undefined),
    close: () => void shutdown.close(),
  })
  const instance = { ...shared, routes, upgrades, succession }
  const { hooks, states } = sessions
  const shutdown = new Shutdown({ cache, sessions, upgrades, watcher, succession, inspectors })

  cache.start({
    every: (ms, task) => sessions.deadlines.every(ms, task),
    pause: ms => sessions.deadlines.pause(ms),
    evict: except => sessions.evictWithCleanup(except),
    report: reportFiles,
  })

  const methods = {
    id: events.instance,
    upload: multerOf(storage),
    storage,
    filesOf: (req: IncomingMessage) => storage.filesOf(req),
    state: (name: string, options: AnyStateOptions = {}) =>
      states.define(name, () => new StateDefinition(name, options)),
    sharedState: <T>(name: string, options: AnySharedStateOptions = {}) => {
      const handle = states.define(name, () => new SharedHandle(name, options, sessions.shared))
      // The caller declares the type that the codec returns; nothing checks it.
      return handle as SharedState<T>
    },
    load: (hook: (event: HookEvent) => unknown, options?: HookOptions) => hooks.load.add(hook, options),
    unload: (hook: (event: LeaveEvent) => unknown, options?: HookOptions) => hooks.unload.add(hook, options),
    ended: (hook: (event: LeaveEvent) => unknown, options?: HookOptions) => hooks.ended.add(hook, options),
    on: (event: 'error', listener: ErrorListener) => {
      checkEvent('on', event)
      hooks.errorListeners.add(checkFunction('on', listener))
      return gradio
    },
    off: (event: 'error', listener: ErrorListener) => {
      checkEvent('off', event)
      hooks.errorListeners.delete(checkFunction('off', listener))
      return gradio
    },
    track: (req: IncomingMessage, socket: Closable) => track(sessions, req, socket),
    attach: (server: Server) => attach(instance, server),
    sessions: () => sessions.all().map(session => new KnownSession(shared, session)),
    session: (id: string) => {
      const session = sessions.findById(id)
      return session && new KnownSession(shared, session)
    },
    endSession: async (id: string) => {
      const session = sessions.findById(id)
      if (session !== undefined) await sessions.end(session, 'ended')
      return session !== undefined
    },
    inspector: (options: InspectorOptions) => inspectorOf(shared, options),
    stats: () => ({ ...sessions.registry.stats(), ...cache.stats() }),
    close: (options?: CloseOptions) => shutdown.close(options),
  }

  const middleware: Handler = (req, res, next) => handle(instance, req, res, next)
  const forAdapters = { [ADMIT]: (async (...request) => admit(instance, ...request)) satisfies Admit }
  const gradio: GradioState = Object.assign(middleware, methods, forAdapters)
  return gradio
}
