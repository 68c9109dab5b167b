import type { ServerResponse } from 'node:http'
import { withoutFrameworkSession } from '../../identity/express-session.js'
import type { FrameworkRequest } from '../../identity/request-context.js'
import { INSPECTOR } from '../adapter.js'
import type { InstanceContext } from '../instance.js'
import { expectExpress } from '../setup-errors.js'
import type { Answer } from './answer.js'
import { Inspector } from './inspector.js'
import type { InspectorOptions } from './options.js'

/** The middleware for Express, with the inspector attached for koa(). */
export function inspectorOf(context: InstanceContext, options: InspectorOptions) {
  const inspector = new Inspector(context, options)
  const middleware = (req: FrameworkRequest, res: ServerResponse, next: (error?: unknown) => void) => {
    expectExpress(next)
    inspector
      .respond(req, req)
      .then(answer => send(req, res, answer))
      .catch(next)
  }
  return Object.assign(middleware, { [INSPECTOR]: inspector })
}

function send(req: FrameworkRequest, res: ServerResponse, { status, headers, body, isPoll }: Answer): void {
  const write = () => {
    res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
    res.end(req.method === 'HEAD' ? undefined : body)
  }
  if (isPoll) withoutFrameworkSession(req, write)
  else write()
}
