import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'
import { observeCommits } from '../identity/koa-session.js'
import { type FrameworkRequest, type RequestContext, SessionRequest } from '../identity/request-context.js'
import type { PageUpgrades } from '../pages/page-upgrades.js'
import type { Sessions } from '../sessions/sessions.js'
import type { InstanceContext } from './instance.js'
import type { ReplacedInstances } from './replaced-instances.js'
import { RequestHandle } from './request-handle.js'
import type { Route, Routes } from './routes.js'
import { expectExpress, notMounted, stateIn } from './setup-errors.js'

/** The parts of an instance that its middleware uses. */
export interface MiddlewareContext extends InstanceContext {
  readonly routes: Routes
  readonly upgrades: PageUpgrades
  readonly replacedInstances: ReplacedInstances
}

/** A request, before or after this middleware. */
type GradioRequest = IncomingMessage & { gradioState?: unknown }

/** The middleware for Express and Connect. */
export function handle(
  instance: MiddlewareContext,
  req: FrameworkRequest,
  res: ServerResponse,
  next: (error?: unknown) => void,
): void {
  expectExpress(next)
  let admitted: boolean | Promise<boolean>
  try {
    admitted = admit(instance, req, res, req)
  } catch (error) {
    next(error)
    return
  }
  if (typeof admitted !== 'boolean') admitted.then(isHandled => isHandled || next(), next)
  else if (!admitted) next()
}

/** The middleware without a framework, see {@link Admit}. */
export function admit(
  instance: MiddlewareContext,
  req: GradioRequest,
  res: ServerResponse | undefined,
  context: RequestContext,
): boolean | Promise<boolean> {
  const { config, identity, sessions, routes, upgrades, replacedInstances, inspectors } = instance
  const earlier = stateIn(req)
  if (earlier !== undefined) {
    // The middleware is mounted twice. The second one does nothing.
    if (isOf(sessions, earlier)) return false
    throw twoInstances()
  }
  attachToServerOf(instance, req)
  const request = new SessionRequest(req, res, context, identity.endedSerial)
  replacedInstances.note(request)
  const state = new RequestHandle(instance, request)
  req.gradioState = state
  const { koaSession } = request
  const disableCommits =
    koaSession &&
    observeCommits(koaSession, {
      context,
      onRegenerate: config.onRegenerate,
      ending: () => state.ending(),
    })
  const route = routes.find(req)
  if (res === undefined || route === undefined) {
    if (inspectors.has(req, context)) return false
    const arrived = state.arrive()
    return arrived === undefined ? false : arrived.then(() => false)
  }
  upgrades.addBase(state.routes)
  return runRoute(route, req, res, state).finally(disableCommits)
}

async function runRoute(route: Route, ...request: Parameters<Route>): Promise<boolean> {
  await route(...request)
  return true
}

/** Serves the WebSockets of a server's pages, and replaces an earlier instance there. */
export function attach({ upgrades, replacedInstances }: MiddlewareContext, server: Server): void {
  upgrades.attach(server)
  replacedInstances.join(server)
}

function attachToServerOf(instance: MiddlewareContext, req: IncomingMessage): void {
  // Node.js sets it on each socket (lib/_http_server.js). Where it doesn't, apps call `gradio.attach()`.
  // It is `null` on a socket that no server has accepted, as in tests that create one.
  const server = (req.socket as { server?: Server | null } | undefined)?.server
  if (server) attach(instance, server)
}

/** The state that this instance put on a request. @throws GradioStateError `NOT_MOUNTED` */
export function stateOf(sessions: Sessions, req: GradioRequest): RequestHandle {
  const state = stateIn(req)
  if (isOf(sessions, state)) return state
  throw notMounted()
}

function isOf(sessions: Sessions, state: unknown): state is RequestHandle {
  return state instanceof RequestHandle && state.isOf(sessions)
}

function twoInstances(): GradioStateError {
  return new GradioStateError(
    'TWO_INSTANCES',
    'Expected one gradioState() on a request, got a second one. Create one instance and share it between routers.',
  )
}
