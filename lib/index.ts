import type { IncomingMessage, Server } from 'node:http'
import { agreedOptions } from './agreed-options.js'
import { Events } from './events.js'
import { FileCache } from './files/cache.js'
import { MulterStorage } from './files/multer-storage.js'
import { ADMIT, type Admit, type Handler } from './http/adapter.js'
import { Exchanges } from './http/exchanges.js'
import { inspectorOf } from './http/inspector/express.js'
import { Inspectors } from './http/inspector/inspectors.js'
import type { InspectorOptions } from './http/inspector/options.js'
import { KnownSession } from './http/known-session.js'
import { admit, attach, handle, stateOf } from './http/middleware.js'
import { MountPaths } from './http/mount-paths.js'
import { ReplacedInstances } from './http/replaced-instances.js'
import { Routes } from './http/routes.js'
import { expectOptions, explainMissingState } from './http/setup-errors.js'
import { type CloseOptions, Shutdown } from './http/shutdown.js'
import { track } from './http/track.js'
import type { Closable } from './http/tracked-socket.js'
import { multerOf, uploadTo } from './http/upload-route.js'
import { ExpiryWatcher } from './identity/expiry-watcher.js'
import { ExpressStore } from './identity/express-store.js'
import { Identity } from './identity/identity.js'
import type { GradioState } from './instance-types.js'
import { type GradioStateOptions, parseOptions } from './options.js'
import { PageUpgrades } from './pages/page-upgrades.js'
import { Pages } from './pages/pages.js'
import { checkFunction } from './sessions/hook-set.js'
import { checkEvent } from './sessions/hooks.js'
import { Sessions } from './sessions/sessions.js'
import type { AnySharedStateOptions } from './sessions/shared-definition.js'
import { SharedHandle } from './sessions/shared-handle.js'
import { type AnyStateOptions, StateDefinition } from './sessions/value-definition.js'
import type { ErrorListener, HookEvent, HookOptions, LeaveEvent, SharedState } from './types.js'

export type { ChannelMessages, HookOutcome, LifecycleMessage, SessionMessage } from './channel-messages.js'
export type { CookieOptions } from './cookie-options.js'
export { type ErrorCode, GradioStateError } from './errors.js'
export type { StoredFields, UploadStorage } from './files/multer-storage.js'
export type { Handler } from './http/adapter.js'
export type { InspectorOptions } from './http/inspector/options.js'
export type { ClosableServer } from './http/server-closing.js'
export type { CloseOptions } from './http/shutdown.js'
export type { Closable } from './http/tracked-socket.js'
export type { GradioState, Stats } from './instance-types.js'
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
  const mountPaths = new MountPaths(config)
  const sessions = new Sessions(
    { ...config, events, cache, mountPaths, agreedOptions: agreedOptions(config) },
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
  const shared = { config, sessions, cache, identity, mountPaths, exchanges, inspectors }
  const pages = new Pages(sessions, config.clock, identity)
  const upgrades = new PageUpgrades(pages, sessions, config.heartbeat, (page, req) =>
    identity.returningCookies.socketOpened(page, req),
  )
  const routes = new Routes(shared, { pages, upgrades, upload: uploadTo(storage) })
  const replacedInstances = new ReplacedInstances({
    tokenOf: request => identity.tokenStorageOf(request).find(),
    hasSession: token => sessions.find(token) !== undefined,
    hasPage: page => sessions.all().some(({ pageList }) => pageList?.find(page) !== undefined),
    close: () => void shutdown.close(),
  })
  const instance = { ...shared, routes, upgrades, replacedInstances }
  const { hooks, states } = sessions
  const shutdown = new Shutdown({ cache, sessions, upgrades, watcher, replacedInstances, inspectors })

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
