import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'
import type { StoredFields } from '../files/multer-storage.js'
import { withoutFrameworkSession } from '../identity/express-session.js'
import type { FrameworkRequest } from '../identity/request-context.js'
import type { Config } from '../options.js'
import { allowOrigin, refuseCrossSite } from '../pages/origin.js'
import type { PageUpgrades } from '../pages/page-upgrades.js'
import { type Pages, pageUnknown } from '../pages/pages.js'
import type { PageHint } from '../sessions/coordinator.js'
import { clientScript } from './client-script.js'
import { serveFile } from './file-route.js'
import type { InstanceContext } from './instance.js'
import { mimeTypeOf } from './mime-type.js'
import type { RequestHandle } from './request-handle.js'
import { tabKey } from './tab.js'
import { expectMultipart, type Upload } from './upload-route.js'

/** Responds to a request for one of the library's own routes. */
export type Route = (req: FrameworkRequest, res: ServerResponse, state: RequestHandle) => void | Promise<void>

/** The library's own routes. They write to the session store only when they start a session. */
export class Routes {
  readonly #config: Config
  readonly #pages: Pages
  readonly #upgrades: PageUpgrades
  readonly #upload: Upload

  constructor(
    { config }: InstanceContext,
    { pages, upgrades, upload }: { pages: Pages; upgrades: PageUpgrades; upload: Upload },
  ) {
    this.#config = config
    this.#upload = upload
    this.#pages = pages
    this.#upgrades = upgrades
  }

  /** The route of a request, or `undefined` for a request of the app. */
  find(req: FrameworkRequest): Route | undefined {
    const { url = '' } = req
    const { path, origins } = this.#config
    if (!url.startsWith(path) || url[path.length] !== '/') return undefined
    const end = url.indexOf('?')
    const parts = url.slice(path.length + 1, end < 0 ? undefined : end).split('/')
    const query = new URLSearchParams(end < 0 ? '' : url.slice(end))
    const route = this.#route(parts, req.method, query)
    if (route === undefined) return undefined
    return async (req, res, state) => {
      try {
        const isListed = allowOrigin(req, res, origins)
        if (req.method === 'OPTIONS') return preflight(req, res, isListed)
        await route(req, res, state)
      } catch (error) {
        if (!(error instanceof GradioStateError) || res.headersSent) throw error
        // The session may have started before the error. Without its cookie, the next attempt would start another.
        await state.persistBeforeHeaders()
        respond(
          req,
          res,
          error.status,
          { error: { code: error.code, message: error.message } },
          state.setsCookie,
        )
      }
    }
  }

  #route([name, ...rest]: string[], method: string | undefined, query: URLSearchParams): Route | undefined {
    const [first = '', second = ''] = rest
    const digits = query.get('n')
    const epoch = digits !== null && /^\d{1,9}$/.test(digits) ? Number(digits) : undefined
    switch (`${method} ${name} ${rest.length}`) {
      case 'GET client.js 0':
      case 'HEAD client.js 0':
        return serveClient
      case 'POST heartbeat 1':
        if (query.has('renew')) return (...request) => this.#renew(...request)
        return (...request) => this.#open(first, epoch, query.get('ticket') ?? '', ...request)
      case 'GET heartbeat 1':
        return (...request) => this.#refuseSocket(...request)
      case 'POST pagehide 1':
        return (...request) =>
          this.#goodbye(first, epoch, query.has('within') ? 'within' : undefined, ...request)
      case 'GET file 2':
      case 'HEAD file 2':
        return (...request) => serveFile(first, second, query.get('scope'), ...request)
      case 'POST upload 0':
        return this.#config.uploadRoute ? (...request) => this.#receive(...request) : undefined
      case 'OPTIONS heartbeat 1':
      case 'OPTIONS pagehide 1':
        return () => {}
      case 'OPTIONS upload 0':
        return this.#config.uploadRoute ? () => {} : undefined
      default:
        return undefined
    }
  }

  /** @param last the ticket that the page received last */
  async #open(
    id: string,
    epoch: number | undefined,
    last: string,
    ...[req, res, state]: Parameters<Route>
  ): Promise<void> {
    refuseCrossSite(req, this.#config.origins, state.trustsProxy)
    state.noteHeartbeat()
    const session = state.find()
    session?.noteReturn()
    const page = await this.#pages.open(id, epoch, session, () => state.enterPage(id), tabKey(req))
    await this.#pages.leaveFormer(page, last)
    const ticket = this.#pages.issueTicket(page)
    state.noteCookie(id, page.token)
    state.renewOwnCookie()
    respond(req, res, 200, { ticket, mark: state.markOf(page.token) }, state.setsCookie)
  }

  /** Responds to a request for a page's socket that can't be upgraded, or whose upgrade headers a proxy has removed. */
  #refuseSocket(...[req, res]: Parameters<Route>): void {
    const status = this.#upgrades.statusOf(req)
    // HTTP/2 forbids these headers.
    if (req.httpVersionMajor === 1) {
      if (status === 426) res.setHeader('Upgrade', 'websocket')
      // Browsers don't reuse the connection of a failed upgrade.
      if (req.headers.upgrade !== undefined) res.setHeader('Connection', 'close')
    }
    respond(req, res, status)
  }

  async #receive(...[req, res, state]: Parameters<Route>): Promise<void> {
    refuseCrossSite(req, this.#config.origins, state.trustsProxy)
    expectMultipart(req)
    await state.establish()
    const files = await this.#read(req, res)
    if (files === undefined) return
    // Without the path, which must not leave the server.
    const summaries = files.map(({ url, filename, size, sha256 }) => ({
      url,
      name: filename,
      size,
      sha256,
      mimeType: mimeTypeOf(filename),
    }))
    respond(req, res, 200, summaries, state.setsCookie)
  }

  /** The files that were stored; `undefined` if the browser has aborted the upload. */
  async #read(req: FrameworkRequest, res: ServerResponse): Promise<StoredFields[] | undefined> {
    try {
      return await this.#upload(req, res)
    } catch (error) {
      if (req.destroyed && !req.complete) return undefined
      throw error
    }
  }

  /**
   * Renews the cookie of the request's session, and sends the page the mark of that session. The session middleware takes part in this
   * response, as in those of the app: with `rolling`, it renews its cookie.
   */
  async #renew(...[req, res, state]: Parameters<Route>): Promise<void> {
    refuseCrossSite(req, this.#config.origins, state.trustsProxy)
    state.noteHeartbeat()
    const { token } = state
    if (token === undefined) return respond(req, res, 204)
    state.renewOwnCookie()
    const { keepAlive } = this.#config
    if (keepAlive) await state.renew()
    respond(req, res, 200, { mark: state.markOf(token) }, keepAlive)
  }

  /** The origin isn't checked: a page of another site would have to know the page id, which is random. */
  async #goodbye(
    id: string,
    epoch: number | undefined,
    hint: PageHint,
    ...[req, res, state]: Parameters<Route>
  ): Promise<void> {
    const session = state.find()
    session?.noteGoodbye()
    const isDone = this.#pages.goodbye(session, id, epoch, hint) || (await state.goodbye(id, epoch, hint))
    if (!isDone && !this.#pages.knows(session, id)) throw pageUnknown(id)
    respond(req, res, 204)
  }
}

/** @param setsCookie whether the session middleware may set its cookie */
function respond(
  req: FrameworkRequest,
  res: ServerResponse,
  status: number,
  body?: object,
  setsCookie = false,
): void {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const writeHead = () => {
    const type = text !== undefined && {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
    }
    res.writeHead(status, { ...type, 'Cache-Control': 'no-store' })
  }
  if (setsCookie) writeHead()
  else withoutFrameworkSession(req, writeHead)
  withoutFrameworkSession(req, () => res.end(text))
}

function preflight(req: FrameworkRequest, res: ServerResponse, isListed: boolean): void {
  if (isListed) {
    res.setHeader('Access-Control-Allow-Methods', 'POST')
    // Tracing tools in the browser add headers of their own.
    const headers = req.headers['access-control-request-headers']
    if (headers !== undefined) res.setHeader('Access-Control-Allow-Headers', headers)
  }
  respond(req, res, 204)
}

const ETAG = `"${createHash('sha256').update(clientScript).digest('base64url').slice(0, 22)}"`

function serveClient(req: FrameworkRequest, res: ServerResponse): void {
  const isCurrent = req.headers['if-none-match']
    ?.split(',')
    .some(tag => tag.trim().replace(/^W\//, '') === ETAG)
  withoutFrameworkSession(req, () => {
    res.writeHead(isCurrent ? 304 : 200, {
      'Content-Type': 'text/javascript; charset=utf-8',
      'Cache-Control': 'no-cache',
      ETag: ETAG,
    })
    res.end(isCurrent || req.method === 'HEAD' ? undefined : clientScript)
  })
}
