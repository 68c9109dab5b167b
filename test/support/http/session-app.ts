import type { TestContext } from 'node:test'
import type { ErrorRequestHandler, Express, RequestHandler } from 'express'
import session, { type SessionOptions } from 'express-session'
import {
  type GradioState,
  type GradioStateError,
  type GradioStateOptions,
  gradioState,
  type State,
} from '../../../lib/index.ts'
import { type FakeClock, fakeClock, type TestPage, type Visitor } from '../../../lib/testing/index.ts'
import { closeNow } from '../sessions/close-now.ts'
import { TroubledStore } from '../stores/troubled-store.ts'
import { type ExpressModule, json, passFor, serve, sessionDefaults, until } from './express.ts'

/** The lifetime of framework sessions here, in seconds. */
export const LIFETIME = 60
/** The default of the option `gracePeriod`. */
export const GRACE = 3600

export interface SessionAppOptions {
  options?: GradioStateOptions
  session?: Partial<SessionOptions>
  store?: TroubledStore
  /** Middleware between the session and the library. */
  between?: RequestHandler[]
  routes?(app: Express, gradio: GradioState): void
}

export interface SessionApp {
  readonly app: Express
  readonly port: number
  readonly gradio: GradioState
  readonly clock: FakeClock
  readonly store: TroubledStore
  readonly held: State<string | undefined>
  /** The calls of hooks and callbacks, with their second: `unload expired @60`. */
  readonly log: string[]
  /** The reported errors. */
  readonly errors: unknown[]
  user(): AppUser
  /** Advances the time by seconds, after the earlier requests have left. */
  pass(seconds: number): Promise<void>
}

export interface AppUser extends Visitor {
  /** Sets the value of the session; returns the response. */
  set(value: string): Promise<Answer>
  get(): Promise<Answer>
  post(path: string): Promise<Answer>
  /** The id of the framework session. */
  frameworkSessionId(): string
}

export interface Answer {
  status: number
  /** The id of the session, and its value. */
  id?: string
  value?: string
  code?: string
}

/** An app with a login, a logout and one value for each user. Its framework sessions use the fake clock, too. */
export async function sessionApp(
  t: TestContext,
  express: ExpressModule,
  {
    options,
    session: sessionOptions,
    store = new TroubledStore(),
    between = [],
    routes,
  }: SessionAppOptions = {},
): Promise<SessionApp> {
  const clock = worldClock(t)
  const log: string[] = []
  const errors: unknown[] = []
  const gradio = gradioState({ clock, ...options })
  gradio.on('error', error => errors.push(error))
  const note = (what: string) => log.push(`${what} @${Math.round(clock.now()) / 1000}`)
  gradio.unload(({ reason }) => note(`unload ${reason}`))
  gradio.ended(({ reason }) => note(`ended ${reason}`))
  const held = gradio.state<string>('held', {
    deleteCallback: (_value, { reason }) => note(`delete ${reason}`),
  })
  const app = express()
  app.set('env', 'test')
  let inFlight = 0
  app.use((_req, res, next) => {
    inFlight++
    res.once('close', () => inFlight--)
    next()
  })
  const cookie = { maxAge: LIFETIME * 1000 }
  app.use(session(sessionDefaults({ store, cookie, ...sessionOptions })))
  for (const handler of between) app.use(handler)
  app.use(gradio)
  const tell: RequestHandler = (req, res) => {
    const { id } = req.gradioState
    res.json({ id, value: req.gradioState.get(held) })
  }
  app.get('/get', tell)
  app.get('/nothing', (_req, res) => res.json({}))
  app.post('/set/:value', (req, res) => {
    req.gradioState.set(held, req.params.value)
    res.json({ id: req.gradioState.id, value: req.params.value })
  })
  app.post('/lives/:ms', (req, res) => {
    const { ms } = req.params
    // Without a number, the cookie lasts until the browser is closed.
    if (ms === 'on') (req.session.cookie as { expires: unknown }).expires = null
    else req.session.cookie.maxAge = Number(ms)
    res.json({})
  })
  app.post('/login', (req, res, next) => {
    req.session.regenerate(error => (error ? next(error) : tell(req, res, next)))
  })
  app.post('/logout', (req, res, next) => {
    req.session.destroy(error => (error ? next(error) : res.json({})))
  })
  app.post('/unset', (req, res) => {
    delete (req as { session?: unknown }).session
    res.json({})
  })
  routes?.(app, gradio)
  const answerError: ErrorRequestHandler = (error: GradioStateError, _req, res, next) => {
    if (res.headersSent) return next(error)
    res.status(error.status ?? 500).json({ code: error.code ?? error.message })
  }
  app.use(answerError)
  const served = await serve(t, app)
  t.after(() => closeNow(gradio, clock))
  return {
    app,
    port: served.port,
    gradio,
    clock,
    store,
    held,
    log,
    errors,
    user: () => appUser(served.visitor()),
    async pass(seconds) {
      await until(() => inFlight === 0, 'that no request is in flight')
      await passFor(gradio, clock, seconds)
    },
  }
}

/** A fake clock that express-session uses, too, for one test: through `Date.now()`. */
export function worldClock(t: TestContext): FakeClock {
  const clock = fakeClock()
  t.mock.method(Date, 'now', () => clock.wall())
  return clock
}

function appUser(visitor: Visitor): AppUser {
  const answer = async (asked: Promise<Response>): Promise<Answer> => {
    const { status, body } = await json<object>(asked)
    return { status, ...body }
  }
  const post = (path: string) => answer(visitor.fetch(path, { method: 'POST' }))
  return {
    ...visitor,
    post,
    set: value => post(`/set/${value}`),
    get: () => answer(visitor.fetch('/get')),
    /** The cookie is `s:<id>.<signature>`. */
    frameworkSessionId: () =>
      decodeURIComponent(visitor.cookies.get('connect.sid') ?? '')
        .slice(2)
        .split('.')[0] as string,
  }
}

/** The code and reason with which a page was disconnected. */
export async function disconnectionOf(page: TestPage): Promise<{ code: number; reason: string }> {
  let answer: { code: number; reason: string } | undefined
  void page.closed.then(closed => {
    answer = closed
  })
  await until(() => answer !== undefined, 'that the page is disconnected')
  return answer as { code: number; reason: string }
}
