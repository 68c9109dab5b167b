import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Context, Middleware, Next } from 'koa'
import onHeaders from 'on-headers'
import { invalid } from '../errors.js'
import type { FrameworkRequest, KoaSession, RequestContext } from '../identity/request-context.js'
import type { RequestState } from '../types.js'
import { replaceMethod } from '../util/replace-method.js'
import { whenOver } from '../util/response-over.js'
import { ADMIT, type Admit, INSPECTOR, type Responder } from './adapter.js'
import { expectKoaSession5, explainMissingState, notKoa } from './setup-errors.js'

declare module 'koa' {
  interface ExtendableContext {
    /** The state of the user who sent this request. Set by the middleware that `koa(gradio)` returns. */
    gradioState: RequestState
  }
}

/** The part of the result of `gradioState()` or `inspector()` that is checked here. */
type Mountable = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/**
 * Creates the middleware for Koa 2 and 3: `app.use(koa(gradio))`, after the session middleware. It sets `ctx.gradioState` and
 * `ctx.req.gradioState`. For the library's own routes it sends the response itself, and sets `ctx.respond` to `false`.
 *
 * It supports koa-session, with an external store or in the cookie, and express-session through koa-connect. Without a session
 * it uses the library's own cookie. For other session middleware, set the `identify` option.
 *
 * The inspector is mounted in the same way: `router.all('/admin/sessions', koa(gradio.inspector({ … })))`.
 *
 * Import it from `gradio-state/koa`.
 * @throws GradioStateError `OPTION_INVALID` if `gradio` isn't the result of `gradioState()` or `inspector()`
 */
export function koa(gradio: Mountable): Middleware {
  const inspector = (gradio as Partial<Record<typeof INSPECTOR, Responder>> | undefined)?.[INSPECTOR]
  if (inspector !== undefined) return ctx => serveInspector(inspector, ctx)
  const admit = (gradio as Partial<Record<typeof ADMIT, Admit>> | undefined)?.[ADMIT]
  if (admit === undefined) throw invalid('the argument of koa()', 'the result of gradioState()', gradio)
  return async function gradioState(ctx: Context, next: Next, ...rest: unknown[]): Promise<void> {
    const [expressNext] = rest
    if (typeof expressNext === 'function') {
      // A promise that rejects would be an unhandled rejection in Express 4.
      expressNext(notKoa())
      return
    }
    explainMissingState([ctx.app.context])
    const context = new KoaContext(ctx)
    const restoreUnread = rememberUnread(context.koaSession)
    const { req } = ctx
    // koa-websocket creates the context of an upgrade without a response.
    const res: ServerResponse | undefined = ctx.res
    const run = () => admit(req, res, context)
    const isHandled = res === undefined ? await run() : await withStatus200(res, run)
    ctx.gradioState = (req as IncomingMessage & { gradioState: RequestState }).gradioState
    if (isHandled) {
      ctx.respond = false
      await untilHeadersSent(ctx)
    } else {
      restoreUnread()
      await next()
    }
  }
}

async function serveInspector(inspector: Responder, ctx: Context): Promise<void> {
  const context = new KoaContext(ctx)
  const { status, headers, body, isPoll } = await inspector.respond(ctx.req, context, ctx)
  if (isPoll && context.koaSession) replaceMethod(context.koaSession, 'commit', async () => {})
  ctx.status = status
  ctx.set({ ...headers })
  ctx.body = body
}

/** Koa sets the status of each response to 404 first, and `send`, which serves files, doesn't change it. */
async function withStatus200(res: ServerResponse, run: () => Promise<boolean>): Promise<boolean> {
  const { statusCode } = res
  let isHandled = false
  res.statusCode = 200
  try {
    isHandled = await run()
    return isHandled
  } finally {
    if (!isHandled) res.statusCode = statusCode
  }
}

/**
 * Resolves when the headers of the library's response are sent: before that, middleware could still change them after its `next()`.
 * The file route sends them only after it has looked up the file.
 */
async function untilHeadersSent({ req, res }: Context): Promise<void> {
  if (res.headersSent) return
  await new Promise<void>(resolve => {
    onHeaders(res, () => resolve())
    whenOver({ req, res }, resolve)
  })
}

/** What Koa provides for a request. */
class KoaContext implements RequestContext {
  readonly koaSession: KoaSession | undefined
  readonly baseUrl: string
  readonly #ctx: Context
  readonly #req: FrameworkRequest

  constructor(ctx: Context) {
    this.#ctx = ctx
    this.#req = ctx.req
    this.koaSession = koaSessionOf(ctx)
    this.baseUrl = baseOf(ctx)
  }

  get session(): unknown {
    const session: unknown = isPending(this.#ctx) ? undefined : this.#ctx.session
    return session ?? this.#req.session
  }

  get sessionID(): unknown {
    const { koaSession } = this
    if (koaSession === undefined) return this.#req.sessionID
    // A session in the cookie has no id. Another token in it means another session.
    return koaSession.externalKey ?? (koaSession.session || undefined)?.gradioState?.token
  }

  get secure(): boolean {
    return this.#ctx.secure
  }

  get trustsProxy(): boolean {
    return this.#ctx.app.proxy
  }

  get user(): unknown {
    return this.#ctx.state?.user
  }
}

/** koa-mount removes the mount path from `ctx.path`, at each level. If nothing remains, it leaves a slash. */
function baseOf({ originalUrl, url }: Context): string {
  const whole = originalUrl.endsWith(url) ? originalUrl : originalUrl.replace(/(?=\?|$)/, '/')
  return whole.endsWith(url) ? whole.slice(0, -url.length) : ''
}

/** Whether koa-session's middleware has yet to run: until then, `ctx.session` isn't the session of the browser's cookie. */
function isPending(ctx: Context): boolean {
  const isGetter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(ctx), 'session')?.get !== undefined
  return isGetter && !Object.hasOwn(ctx, 'session') && koaSessionOf(ctx) === undefined
}

/** koa-session stores its internals on the context under a private symbol. */
function koaSessionOf(ctx: Context): KoaSession | undefined {
  for (const symbol of Object.getOwnPropertySymbols(ctx)) {
    const value: unknown = Reflect.get(ctx, symbol)
    if (typeof value === 'object' && value !== null && 'commit' in value && 'opts' in value) {
      expectKoaSession5(value.commit)
      return value as KoaSession
    }
  }
  return undefined
}

/**
 * koa-session counts a session in the cookie as used once it was read: with `rolling` or `renew`, the response then sets its cookie.
 * To be called before the library reads the session.
 * @returns makes the session unread again, unless it was read before
 */
function rememberUnread(koaSession: KoaSession | undefined): () => void {
  if (koaSession === undefined || koaSession.session !== undefined) return () => {}
  return () => {
    Object.assign(koaSession, { session: undefined })
  }
}
