import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Manager } from '../core/manager.js'
import { GradioStateError } from '../errors.js'
import type { HostRequest } from '../hosts/host.js'
import type { Identity } from '../hosts/identity.js'
import type { Config } from '../options.js'
import { RequestHandle } from './request-state.js'
import type { Routes } from './routes.js'
import type { Sockets } from './sockets.js'

/** What one instance's middleware works with. */
export interface MiddlewareParts {
  readonly config: Config
  readonly manager: Manager
  readonly identity: Identity
  readonly routes: Routes
  readonly sockets: Sockets
}

/** Attaches `req.gradioState`, and answers the library's own routes. Knows no framework. */
export function handle(
  parts: MiddlewareParts,
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
): void {
  const { config, manager, identity, routes, sockets } = parts
  const request = req as HostRequest & { gradioState?: unknown }
  if (request.gradioState !== undefined) {
    // A middleware that is mounted twice works once.
    next(isOf(manager, request.gradioState) ? undefined : twoInstances())
    return
  }
  attachTo(sockets, req)
  const state = new RequestHandle(manager, identity, request, res, () => config.info?.(req))
  request.gradioState = state
  const route = routes.find(request)
  if (route === undefined) {
    pass(state, next)
  } else {
    sockets.seeBase((request.baseUrl ?? '') + config.path)
    Promise.resolve(route(request, res, state)).catch(next)
  }
}

function pass(state: RequestHandle, next: (error?: unknown) => void): void {
  let arrived: void | Promise<void>
  try {
    arrived = state.arrive()
  } catch (error) {
    next(error)
    return
  }
  if (arrived === undefined) next()
  else arrived.then(() => next(), next)
}

/** Whether that is the state which this instance put on a request. */
export function isOf(manager: Manager, state: unknown): state is RequestHandle {
  return state instanceof RequestHandle && state.isOf(manager)
}

function attachTo(sockets: Sockets, req: IncomingMessage): void {
  // Node.js puts its server on each socket (lib/_http_server.js); `attach` is for where it can't be found.
  const server = (req.socket as { server?: Server } | undefined)?.server
  if (server !== undefined) sockets.attach(server)
}

function twoInstances(): GradioStateError {
  return new GradioStateError(
    'TWO_INSTANCES',
    'Expected one gradioState() on a request, got a second one. Make one instance and share it between routers.',
  )
}
