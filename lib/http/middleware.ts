import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'
import { observeCommits } from '../identity/koa-session.js'
import { Caller, type FrameworkRequest, type RequestContext } from '../identity/request-context.js'
import type { PageUpgrades } from '../pages/page-upgrades.js'
import type { Sessions } from '../sessions/sessions.js'
import type { InstanceParts } from './instance.js'
import { RequestHandle } from './request-handle.js'
import type { Route, Routes } from './routes.js'

/** What one instance's middleware works with. */
export interface MiddlewareParts extends InstanceParts {
  readonly routes: Routes
  readonly upgrades: PageUpgrades
}

/** A request, before and after this middleware. */
type GradioRequest = IncomingMessage & { gradioState?: unknown }

/** Sets `req.gradioState`, and answers the library's own routes: what Express and Connect call. */
export function handle(
  parts: MiddlewareParts,
  req: FrameworkRequest,
  res: ServerResponse,
  next: (error?: unknown) => void,
): void {
  let admitted: boolean | Promise<boolean>
  try {
    admitted = admit(parts, req, res, req)
  } catch (error) {
    next(error)
    return
  }
  if (typeof admitted !== 'boolean') admitted.then(isAnswered => isAnswered || next(), next)
  else if (!admitted) next()
}

/**
 * Sets `req.gradioState`, and answers the library's own routes. Knows no framework.
 * @param res none at an upgrade
 * @param context what the framework knows of the request
 * @returns whether the request was answered; if not, it goes on
 */
export function admit(
  parts: MiddlewareParts,
  req: GradioRequest,
  res: ServerResponse | undefined,
  context: RequestContext,
): boolean | Promise<boolean> {
  const { base, config, identity, sessions, routes, upgrades } = parts
  const { gradioState: earlier } = req
  if (earlier !== undefined) {
    // A middleware that is mounted twice works once.
    if (isOf(sessions, earlier)) return false
    throw twoInstances()
  }
  attachTo(upgrades, req)
  const caller = new Caller(req, res, context, identity.endedSerial)
  const state = new RequestHandle(parts, caller)
  req.gradioState = state
  base.path = state.base
  const { koaSession } = caller
  const seal =
    koaSession &&
    observeCommits(koaSession, {
      context,
      onRegenerate: config.onRegenerate,
      ending: () => state.ending(),
    })
  const route = routes.find(req)
  if (res === undefined || route === undefined) {
    const arrived = state.arrive()
    return arrived === undefined ? false : arrived.then(() => false)
  }
  upgrades.addBase(state.routes)
  return answerBy(route, req, res, state).finally(seal)
}

async function answerBy(route: Route, ...request: Parameters<Route>): Promise<boolean> {
  await route(...request)
  return true
}

function attachTo(upgrades: PageUpgrades, req: IncomingMessage): void {
  // Node.js puts its server on each socket (lib/_http_server.js); `attach` is for where it can't be found.
  // A socket that no server has accepted, as in tests of an app's own, has `null` there.
  const server = (req.socket as { server?: Server | null } | undefined)?.server
  if (server) upgrades.attach(server)
}

/** The state that this instance put on a request. @throws GradioStateError `NOT_MOUNTED` */
export function stateOf(sessions: Sessions, req: GradioRequest): RequestHandle {
  const { gradioState: state } = req
  if (isOf(sessions, state)) return state
  throw new GradioStateError(
    'NOT_MOUNTED',
    'Expected a request that has passed this gradioState() middleware, got another. Mount it with app.use(gradio) before; in an upgrade, run the session middleware and gradio first.',
  )
}

function isOf(sessions: Sessions, state: unknown): state is RequestHandle {
  return state instanceof RequestHandle && state.isOf(sessions)
}

function twoInstances(): GradioStateError {
  return new GradioStateError(
    'TWO_INSTANCES',
    'Expected one gradioState() on a request, got a second one. Make one instance and share it between routers.',
  )
}
