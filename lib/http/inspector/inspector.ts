import type { IncomingMessage } from 'node:http'
import createDebug from 'debug'
import { type FrameworkRequest, type RequestContext, SessionRequest } from '../../identity/request-context.js'
import { isSameOrigin } from '../../pages/origin.js'
import type { InstanceContext } from '../instance.js'
import { type Answer, json, nothingHere, page, text } from './answer.js'
import { pathOf } from './inspectors.js'
import { type Authorize, type InspectorOptions, parseInspectorOptions } from './options.js'
import { findSession } from './session-details.js'
import { Snapshots } from './snapshots.js'

const debug = createDebug('gradio-state:inspector')

/** The inspector, independent of the framework. Serves the page and its data at the path that it is mounted on. */
export class Inspector {
  readonly #context: InstanceContext
  readonly #authorize: Authorize
  readonly #snapshots: Snapshots

  /** @throws GradioStateError `OPTION_INVALID` */
  constructor(context: InstanceContext, options: InspectorOptions) {
    const { authorize, describe } = parseInspectorOptions(options)
    this.#context = context
    this.#authorize = authorize
    this.#snapshots = new Snapshots(context, context.inspectors.recent, describe)
  }

  /**
   * @param context what the framework provides for the request
   * @param ctx Koa's context
   */
  async respond(req: FrameworkRequest, context: RequestContext, ctx?: unknown): Promise<Answer> {
    const { method = 'GET', url = '' } = req
    const start = url.indexOf('?')
    const query = new URLSearchParams(start < 0 ? '' : url.slice(start))
    const isPoll = method !== 'POST' && query.has('data')
    if (!(await this.#isAuthorized(req, ctx))) return nothingHere(isPoll)
    this.#context.inspectors.notePath(pathOf(req, context))
    switch (method) {
      case 'GET':
      case 'HEAD':
        return isPoll ? json(await this.#snapshots.read(query), isPoll) : page()
      case 'POST':
        return this.#end(req, context, query.get('end') ?? '')
      default:
        return text(405, 'Method Not Allowed', { Allow: 'GET, HEAD, POST' })
    }
  }

  async #isAuthorized(req: IncomingMessage, ctx: unknown): Promise<boolean> {
    try {
      return Boolean(await this.#authorize(req, ctx))
    } catch (error) {
      // Not reported as an error: any visitor can cause it, for example with a request without a session.
      debug('authorize() failed: %o', error)
      return false
    }
  }

  #end(req: FrameworkRequest, context: RequestContext, id: string): Answer {
    const { trustsProxy } = new SessionRequest(req, undefined, context, 0)
    if (!isSameOrigin(req, trustsProxy)) return text(403, 'Forbidden')
    const { sessions } = this.#context
    const session = findSession(sessions, id)
    // Not awaited: its hooks and callbacks may take a long time. Meanwhile, the page shows that it is ending.
    if (session !== undefined) void sessions.end(session, 'ended')
    return json({ found: session !== undefined }, false)
  }
}
