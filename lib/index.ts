import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { KnownSession, type SessionState } from './core/access.js'
import type { ErrorListener, HookEvent, LeaveEvent } from './core/hooks.js'
import { Manager } from './core/manager.js'
import type { CloseReport, Stats } from './core/reports.js'
import type { StateOptions } from './core/state.js'
import type { State } from './core/view.js'
import { memory } from './engines/memory.js'
import { invalid } from './errors.js'
import { Identity } from './hosts/identity.js'
import { handle } from './http/middleware.js'
import { Pages } from './http/pages.js'
import type { Closable, RequestState } from './http/request-state.js'
import { Routes } from './http/routes.js'
import { Sockets } from './http/sockets.js'
import { track } from './http/track.js'
import { type Duration, duration, type GradioStateOptions, known, parseOptions } from './options.js'

export type { Clock } from './clock.js'
export type { SessionState } from './core/access.js'
export type { ErrorContext, ErrorListener, HookEvent, LeaveEvent } from './core/hooks.js'
export type { CloseReport, Stats } from './core/reports.js'
export type { DeleteEvent, DeleteReason, StateOptions, ValueOptions } from './core/state.js'
export type { SessionView, State } from './core/view.js'
export type {
  Arrival,
  Claim,
  Departure,
  EndReason,
  Engine,
  EngineEvents,
  Holder,
  Life,
} from './engines/engine.js'
export { type ErrorCode, GradioStateError } from './errors.js'
export type { Closable, RequestState } from './http/request-state.js'
export type { CookieOptions, Duration, GradioStateOptions } from './options.js'

declare global {
  namespace Express {
    interface Request {
      /** The state of the user who sent this request. Set by the middleware that `gradioState()` gives. */
      gradioState: RequestState
    }
  }
}

/** The middleware, and everything else an app asks of the library. */
export interface GradioState {
  /** For `app.use()`, after the session middleware. */
  (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void

  /**
   * Defines a value that each session holds for itself.
   * @throws GradioStateError for a wrong option, or a second definition of the name
   */
  state<T>(name: string, options: StateOptions<T> & { value: T | (() => T) }): State<T>
  state<T = unknown>(name: string, options?: StateOptions<T>): State<T | undefined>

  /** Runs `hook` when a session becomes loaded: at its first use, and when its user returns after an unload. */
  load(hook: (event: HookEvent) => unknown): this
  /**
   * Runs `hook` when the user has left: once per load, `unloadDelay` after the last page closed, and at the latest
   * before the end of the session (Gradio's `Blocks.unload`).
   */
  unload(hook: (event: LeaveEvent) => unknown): this
  /** Runs `hook` when a session has ended, after the delete callbacks of its values. */
  ended(hook: (event: LeaveEvent) => unknown): this
  /** Tells of each hook or callback that failed or hung. Without a listener, the console does. */
  on(event: 'error', listener: ErrorListener): this
  off(event: 'error', listener: ErrorListener): this

  /**
   * Counts a socket of the app's own, such as a `ws` WebSocket or a long response, as a connection of the user who
   * sent `req`, until it closes. `req` must have passed the session middleware and this one.
   */
  track(req: IncomingMessage, socket: Closable): void
  /** Serves the client's WebSockets at `server`. Only needed where no request leads to the server. */
  attach(server: Server): void

  /** All sessions that live in this process. */
  sessions(): SessionState[]
  /** The session with that id, while it lives in this process. */
  session(id: string): SessionState | undefined
  /** Ends a session at once; resolves when its hooks and callbacks have run, with `false` when there was none. */
  endSession(id: string): Promise<boolean>
  stats(): Stats
  /**
   * Refuses new use (`CLOSED`, 503), closes all streams, and ends all sessions with their hooks and callbacks (reason
   * `shutdown`). Resolves at the latest after `timeout`, with what was not done by then. Default: 25 s.
   */
  close(options?: { timeout?: Duration }): Promise<CloseReport>
}

/**
 * Makes the middleware. Each call makes an instance of its own; an app needs one.
 * @throws GradioStateError `OPTION_INVALID` for a wrong option
 */
export function gradioState(options?: GradioStateOptions): GradioState {
  const config = parseOptions(options)
  const manager = new Manager(config, config.engine ?? memory(config.clock))
  const pages = new Pages(manager)
  const sockets = new Sockets(pages, manager.deadlines, config.heartbeat)
  const routes = new Routes(config, manager, pages)
  const parts = { config, manager, identity: new Identity(config), routes, sockets }
  const { hooks, states } = manager

  const methods = {
    state: (name: string, options: StateOptions<unknown> = {}) => states.define(name, options),
    load: (hook: (event: HookEvent) => unknown) => add(hooks.load, 'load', hook),
    unload: (hook: (event: LeaveEvent) => unknown) => add(hooks.unload, 'unload', hook),
    ended: (hook: (event: LeaveEvent) => unknown) => add(hooks.ended, 'ended', hook),
    on: (event: string, listener: ErrorListener) => {
      if (event !== 'error') throw invalid('the event of on()', "'error'", event)
      return add(hooks.errorListeners, 'on', listener)
    },
    off: (_event: string, listener: ErrorListener) => {
      hooks.errorListeners.delete(listener)
      return gradio
    },
    track: (req: IncomingMessage, socket: Closable) => track(manager, req, socket),
    attach: (server: Server) => sockets.attach(server),
    sessions: () => manager.all().map(session => new KnownSession(manager, session)),
    session: (id: string) => {
      const session = manager.findById(id)
      return session && new KnownSession(manager, session)
    },
    endSession: async (id: string) => {
      const session = manager.findById(id)
      if (session !== undefined) await manager.end(session, 'ended')
      return session !== undefined
    },
    stats: () => manager.stats(),
    close: async (options: { timeout?: Duration } = {}) => {
      known('the options of close()', options, { timeout: true })
      const { timeout = '25s' } = options
      const limit = duration('timeout of close()', timeout, { from: 0, to: Number.POSITIVE_INFINITY })
      sockets.close()
      return manager.close(limit)
    },
  }

  function add<T>(set: Set<T>, name: string, listener: T): GradioState {
    if (typeof listener !== 'function') throw invalid(`what ${name}() is given`, 'a function', listener)
    set.add(listener)
    return gradio
  }

  const middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) =>
    handle(parts, req, res, next)
  const gradio = Object.assign(middleware, methods) as unknown as GradioState
  return gradio
}
