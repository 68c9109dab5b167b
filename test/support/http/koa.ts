import { createRequire } from 'node:module'
import { describe, type TestContext } from 'node:test'
import Koa, { type Context, type Middleware } from 'koa'
import { koa } from '../../../lib/http/koa.ts'
import {
  type GradioState,
  type GradioStateError,
  type GradioStateOptions,
  gradioState,
  type State,
} from '../../../lib/index.ts'
import type { FakeClock, Visitor } from '../../../lib/testing/index.ts'
import { closeNow } from '../sessions/close-now.ts'
import { passFor, type Served, serve, until } from './express.ts'
import { type KoaSessionSetup, noSession } from './koa-sessions.ts'
import { worldClock } from './session-app.ts'

export type KoaModule = typeof Koa

const require = createRequire(import.meta.url)

// The alias has no types; the parts that the tests use are the same in both versions.
const VERSIONS: Readonly<Record<string, KoaModule>> = {
  'Koa 2': require('koa2') as KoaModule,
  'Koa 3': Koa,
}

/** Declares the same tests for each version of Koa. */
export function forEachKoa(define: (Koa: KoaModule) => void): void {
  for (const [name, module] of Object.entries(VERSIONS)) describe(name, () => define(module))
}

/** The app's own routes, by method and path: `'GET /id'`. */
export type KoaRoutes = Readonly<Record<string, Middleware>>

export interface KoaSiteOptions {
  /** The options of `gradioState()`; the clock is a fake one, which the sessions use, too. */
  options?: GradioStateOptions
  /** @default no session */
  koaSession?: KoaSessionSetup
  /** Middleware before the session. */
  before?: Middleware[]
  /** Middleware between the session and the library. */
  between?: Middleware[]
  /** Middleware right after the library. */
  after?: Middleware[]
  routes?: KoaRoutes | ((gradio: GradioState, held: State<string | undefined>) => KoaRoutes)
}

export interface KoaSite extends Served {
  readonly app: Koa
  readonly gradio: GradioState
  readonly clock: FakeClock
  /** The calls of hooks and callbacks, with their second: `unload expired @60`. */
  readonly log: string[]
  /** The errors that the instance reported. */
  readonly reports: unknown[]
  /** What was emitted to `app.on('error')`. */
  readonly failures: GradioStateError[]
  /** How many requests the outermost middleware received, and how many returned to it. */
  readonly passed: { begun: number; settled: number }
  /** Resolves when every middleware has run to its end. */
  settled(): Promise<void>
  /** Advances the time by seconds, after the earlier requests have been answered. */
  pass(seconds: number): Promise<void>
}

/** An app on Koa with the library, being served. It has a login, a logout and one value for each user. */
export async function koaSite(
  t: TestContext,
  Module: KoaModule,
  {
    options,
    koaSession = noSession,
    before = [],
    between = [],
    after = [],
    routes = {},
  }: KoaSiteOptions = {},
): Promise<KoaSite> {
  const clock = worldClock(t)
  const gradio = gradioState({ clock, ...koaSession.options, ...options })
  const [log, reports, failures]: [string[], unknown[], GradioStateError[]] = [[], [], []]
  const note = (what: string) => log.push(`${what} @${Math.round(clock.now()) / 1000}`)
  gradio.on('error', error => reports.push(error))
  gradio.unload(({ reason }) => note(`unload ${reason}`))
  gradio.ended(({ reason }) => note(`ended ${reason}`))
  const held = gradio.state<string>('held', {
    deleteCallback: (_value, { reason }) => note(`delete ${reason}`),
  })
  const app = new Module()
  app.keys = ['a key']
  app.on('error', error => failures.push(error))
  const passed = { begun: 0, settled: 0 }
  let inFlight = 0
  app.use(async (ctx, next) => {
    passed.begun++
    inFlight++
    ctx.res.once('close', () => inFlight--)
    try {
      await next()
    } finally {
      passed.settled++
    }
  })
  for (const middleware of before) app.use(middleware)
  koaSession.use(app)
  for (const middleware of [...between, koa(gradio), ...after]) app.use(middleware)
  app.use(route({ ...ROUTES(held), ...(typeof routes === 'function' ? routes(gradio, held) : routes) }))
  const served = await serveKoa(t, app)
  t.after(() => closeNow(gradio, clock))
  return {
    ...served,
    app,
    gradio,
    clock,
    log,
    reports,
    failures,
    passed,
    settled: () => until(() => passed.settled === passed.begun, 'that every middleware has run to its end'),
    async pass(seconds) {
      await until(() => inFlight === 0 || gradio.stats().pages > 0, 'that no request is in flight')
      await passFor(gradio, clock, seconds)
    },
  }
}

/** Listens until the test is over. */
export function serveKoa(t: TestContext, app: Koa): Promise<Served> {
  // A server doesn't use the promise that the listener returns, which never rejects.
  const answer = app.callback()
  return serve(t, (req, res) => void answer(req, res))
}

/** Runs the middleware for a method and a path. */
export function route(routes: KoaRoutes): Middleware {
  return (ctx, next) => (routes[`${ctx.method} ${ctx.path}`] ?? ignore)(ctx, next)
}

const ignore: Middleware = (_ctx, next) => next()

const ROUTES = (held: State<string | undefined>): KoaRoutes => ({
  'GET /nothing': ctx => {
    ctx.body = 'nothing'
  },
  'GET /get': ctx => tell(ctx, held),
  'POST /set': ctx => {
    ctx.gradioState.set(held, ctx.querystring)
    tell(ctx, held)
  },
  'POST /logout': ctx => {
    ctx.session = null
    ctx.body = {}
  },
  'POST /login': async ctx => {
    await sessionOf(ctx).regenerate()
    tell(ctx, held)
  },
})

/** `ctx.session` of koa-session, which the types don't include. */
export function sessionOf(ctx: Context): KoaSession {
  return ctx.session as unknown as KoaSession
}

interface KoaSession {
  [name: string]: unknown
  maxAge: number
  regenerate(): Promise<void>
}

function tell(ctx: Context, held: State<string | undefined>): void {
  ctx.body = { id: ctx.gradioState.id, value: ctx.gradioState.get(held) }
}

export interface Reply {
  status: number
  /** The id of the session, and its value. */
  id?: string
  value?: string
}

/** The status and the result of {@link koaSite}'s own routes; the text of an error. */
export async function ask(user: Visitor, path: string, method = 'POST'): Promise<Reply & { text: string }> {
  const answer = await user.fetch(path, { method })
  const text = await answer.text()
  const isJson = answer.headers.get('content-type')?.includes('json')
  return { status: answer.status, text, ...(isJson ? JSON.parse(text) : {}) }
}

export const get = (user: Visitor) => ask(user, '/get', 'GET')
export const set = (user: Visitor, value: string) => ask(user, `/set?${value}`)

/** The first part of a response that continues. */
export async function firstText({ body }: Response): Promise<string> {
  const { value } = await (body as ReadableStream<Uint8Array>).getReader().read()
  return Buffer.from(value ?? []).toString()
}
