import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Context, Middleware, Next } from 'koa'
import onHeaders from 'on-headers'
import { invalid } from '../errors.js'
import type { FrameworkRequest, KoaSession, RequestContext } from '../identity/request-context.js'
import type { RequestState } from '../types.js'
import { whenOver } from '../util/response-over.js'
import { ADMIT, type Admit } from './adapter.js'

declare module 'koa' {
  interface ExtendableContext {
    /** The state of the user who sent this request. Set by the middleware that `koa(gradio)` gives. */
    gradioState: RequestState
  }
}

/** What `gradioState()` gives. */
type Mountable = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/**
 * The middleware for Koa 2 and 3: `app.use(koa(gradio))`, after the session middleware. It sets `ctx.gradioState` and
 * `ctx.req.gradioState`, and answers the library's own routes itself (`ctx.respond` is `false` then). It follows koa-session
 * with an external store and in the cookie, and express-session by way of koa-connect; where there is no session, the
 * library's own cookie stands in. Any other is followed by the `identify` option.
 * @throws GradioStateError `OPTION_INVALID` for what is no `gradioState()`
 */
export function koa(gradio: Mountable): Middleware {
  const admit = (gradio as Partial<Record<typeof ADMIT, Admit>> | undefined)?.[ADMIT]
  if (admit === undefined) throw invalid('what koa() is given', 'what gradioState() gives', gradio)
  return async function gradioState(ctx: Context, next: Next): Promise<void> {
    const context = new KoaContext(ctx)
    const forgetRead = aroundRead(context.koaSession)
    const { req } = ctx
    // koa-websocket makes the context of an upgrade without one.
    const res: ServerResponse | undefined = ctx.res
    const answer = () => admit(req, res, context)
    const isAnswered = res === undefined ? await answer() : await asNodeBegins(res, answer)
    ctx.gradioState = (req as IncomingMessage & { gradioState: RequestState }).gradioState
    if (isAnswered) {
      ctx.respond = false
      await untilBegun(ctx)
    } else {
      forgetRead()
      await next()
    }
  }
}

/** Koa begins each answer as a 404, which what serves files would leave as it is. */
async function asNodeBegins(res: ServerResponse, answer: () => Promise<boolean>): Promise<boolean> {
  const { statusCode } = res
  let isAnswered = false
  res.statusCode = 200
  try {
    isAnswered = await answer()
    return isAnswered
  } finally {
    if (!isAnswered) res.statusCode = statusCode
  }
}

/** Until the head of an answer is sent, what middleware does after its `next()` would change it. Files are looked for first. */
async function untilBegun({ req, res }: Context): Promise<void> {
  if (res.headersSent) return
  await new Promise<void>(resolve => {
    onHeaders(res, () => resolve())
    whenOver({ req, res }, resolve)
  })
}

/** What Koa knows of a request. */
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
    // In the cookie, a session is called nothing; it is another when it leads elsewhere.
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

/** koa-mount takes what it is mounted on off the path, at each level; where nothing would be left, it leaves a slash. */
function baseOf({ originalUrl, url }: Context): string {
  const whole = originalUrl.endsWith(url) ? originalUrl : originalUrl.replace(/(?=\?|$)/, '/')
  return whole.endsWith(url) ? whole.slice(0, -url.length) : ''
}

/** Whether koa-session's middleware has yet to run: until then, `ctx.session` is not the one that the browser comes with. */
function isPending(ctx: Context): boolean {
  const isGetter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(ctx), 'session')?.get !== undefined
  return isGetter && !Object.hasOwn(ctx, 'session') && koaSessionOf(ctx) === undefined
}

/** koa-session keeps its workings under a symbol of its own. */
function koaSessionOf(ctx: Context): KoaSession | undefined {
  for (const symbol of Object.getOwnPropertySymbols(ctx)) {
    const value: unknown = Reflect.get(ctx, symbol)
    if (typeof value === 'object' && value !== null && 'commit' in value && 'opts' in value)
      return value as KoaSession
  }
  return undefined
}

/**
 * To read a session in the cookie is to use it, as koa-session sees it: with `rolling` or `renew` the answer then brings
 * its cookie. To be called before the library reads it.
 * @returns makes it unread again, unless it was read before
 */
function aroundRead(koaSession: KoaSession | undefined): () => void {
  if (koaSession === undefined || koaSession.session !== undefined) return () => {}
  return () => {
    Object.assign(koaSession, { session: undefined })
  }
}
