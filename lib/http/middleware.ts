import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Manager } from '../core/manager.js'
import { GradioStateError } from '../errors.js'
import type { HostRequest } from '../hosts/host.js'
import type { InstanceParts } from './instance.js'
import { RequestHandle } from './request-state.js'
import type { Routes } from './routes.js'
import type { Sockets } from './sockets.js'

/** What one instance's middleware works with. */
export interface MiddlewareParts extends InstanceParts {
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
  const { base, manager, routes, sockets } = parts
  const request = req as HostRequest & { gradioState?: unknown }
  if (request.gradioState !== undefined) {
    // A middleware that is mounted twice works once.
    next(isOf(manager, request.gradioState) ? undefined : twoInstances())
    return
  }
  attachTo(sockets, req)
  const state = new RequestHandle(parts, request, res)
  request.gradioState = state
  base.path = state.base
  const route = routes.find(request)
  if (route === undefined) {
    pass(state, next)
  } else {
    sockets.seeBase(state.base)
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

function attachTo(sockets: Sockets, req: IncomingMessage): void {
  // Node.js puts its server on each socket (lib/_http_server.js); `attach` is for where it can't be found.
  const server = (req.socket as { server?: Server } | undefined)?.server
  if (server !== undefined) sockets.attach(server)
}

/** The state that this instance put on a request. @throws GradioStateError `NOT_MOUNTED` */
export function stateOf(manager: Manager, req: IncomingMessage): RequestHandle {
  const { gradioState } = req as { gradioState?: unknown }
  if (isOf(manager, gradioState)) return gradioState
  throw new GradioStateError(
    'NOT_MOUNTED',
    'Expected a request that has passed this gradioState() middleware, got another. Mount it with app.use(gradio) before; in an upgrade, run the session middleware and gradio first.',
  )
}

function isOf(manager: Manager, state: unknown): state is RequestHandle {
  return state instanceof RequestHandle && state.isOf(manager)
}

function twoInstances(): GradioStateError {
  return new GradioStateError(
    'TWO_INSTANCES',
    'Expected one gradioState() on a request, got a second one. Make one instance and share it between routers.',
  )
}
