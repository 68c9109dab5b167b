import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import session, { type SessionOptions } from 'express-session'
import {
  type GradioState,
  type GradioStateOptions,
  gradioState,
  type RequestState,
  type SessionState,
} from '../../../lib/index.ts'
import type { FakeClock } from '../../../lib/testing/index.ts'
import { sessionDefaults } from '../http/express.ts'
import { LIFETIME, worldClock } from '../http/session-app.ts'
import { StubResponse, stubRequest } from '../http/stub-http.ts'
import { TrackedSocket } from '../http/tracked-socket.ts'
import { TroubledStore } from '../stores/troubled-store.ts'
import { closeNow } from './close-now.ts'

// For tests of the queries of a store: requests go straight to express-session and to the library, so that
// only the fake clock determines when something happens. What browsers see is tested with `sessionApp`.

export interface FrameworkHarness {
  readonly gradio: GradioState
  readonly clock: FakeClock
  readonly store: TroubledStore
  /** The calls of hooks, with their second: `unload expired @60`. */
  readonly log: string[]
  /** The reported errors. A test that leaves any in here fails. */
  readonly errors: unknown[]
  /** A new user, or one who still has an old cookie. */
  user(cookie?: string): HarnessUser
}

export interface HarnessUser {
  readonly cookie: string
  /** The id of the framework session that the cookie names. */
  readonly id: string
  /** Sends a request, and ends it when `handler` has settled. Rejects with the error that a middleware passes to `next`. */
  request<T = void>(handler?: (request: HarnessRequest) => T | Promise<T>): Promise<T>
  /** Starts the session; returns the ids by which the server knows it. */
  session(): Promise<SessionState>
  /** The same, for a user with a connection that stays open. */
  connectedSession(): Promise<SessionState>
  /** Opens a socket of the app. */
  connect(): Promise<{ close(): void }>
}

export interface HarnessRequest {
  readonly state: RequestState
  readonly session: session.Session & Partial<session.SessionData>
  readonly req: IncomingMessage
}

export interface FrameworkHarnessOptions {
  /** Several instances can share one. */
  clock?: FakeClock
  options?: GradioStateOptions
  session?: Partial<SessionOptions>
  store?: TroubledStore
}

/** An instance behind express-session, on a fake clock, for one test. */
export function frameworkHarness(
  t: TestContext,
  {
    clock = worldClock(t),
    options,
    session: sessionOptions,
    store = new TroubledStore(),
  }: FrameworkHarnessOptions = {},
): FrameworkHarness {
  const gradio = gradioState({ clock, ...options })
  const cookie = { maxAge: LIFETIME * 1000 }
  const middleware = session(sessionDefaults({ store, cookie, ...sessionOptions }))
  const errors: unknown[] = []
  const log: string[] = []
  const note = (what: string) => log.push(`${what} @${Math.round(clock.now()) / 1000}`)
  gradio.on('error', error => errors.push(error))
  gradio.unload(({ reason }) => note(`unload ${reason}`))
  gradio.ended(({ reason }) => note(`ended ${reason}`))
  t.after(async () => {
    await closeNow(gradio, clock)
    assert.deepEqual(errors, [])
  })
  return {
    gradio,
    clock,
    store,
    log,
    errors,
    user: cookie => harnessUser(gradio, middleware as unknown as Handler, cookie),
  }
}

type Handler = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

function harnessUser(gradio: GradioState, middleware: Handler, cookie = ''): HarnessUser {
  async function request<T>(handler?: (request: HarnessRequest) => T | Promise<T>): Promise<T> {
    const req = stubRequest('GET', '/', cookie === '' ? {} : { cookie })
    const res = new HarnessResponse()
    const pass = (middleware: Handler) =>
      new Promise<void>((resolve, reject) =>
        middleware(req, res.asResponse, error => (error ? reject(error) : resolve())),
      )
    const closed = new Promise(resolve => res.once('close', resolve))
    try {
      await pass(middleware)
      await pass(gradio)
      const { gradioState: state, session } = req as unknown as HarnessRequest & { gradioState: RequestState }
      return (await handler?.({ state, session, req })) as T
    } finally {
      res.asResponse.end()
      await closed
      const [line] = [res.getHeader('set-cookie') ?? []].flat()
      if (line !== undefined) cookie = line.split(';')[0] as string
    }
  }

  async function sessionOf(connects: boolean): Promise<SessionState> {
    const id = await request(({ req, state }) => {
      if (connects) gradio.track(req, new TrackedSocket())
      return state.id
    })
    return gradio.session(id) as SessionState
  }

  return {
    get cookie() {
      return cookie
    },
    get id() {
      return decodeURIComponent(cookie.split('=')[1] ?? '')
        .slice(2)
        .split('.')[0] as string
    },
    request,
    session: () => sessionOf(false),
    connectedSession: () => sessionOf(true),
    connect: () =>
      request(({ req }) => {
        const socket = new TrackedSocket()
        gradio.track(req, socket)
        return { close: () => socket.close() }
      }),
  }
}

/** With the parts of a response that express-session needs. */
class HarnessResponse extends StubResponse {
  constructor() {
    super()
    this.once('finish', () => this.close())
  }

  get _header(): boolean {
    return this.headersSent
  }

  _implicitHeader(): void {
    this.writeHead(this.statusCode)
  }
}
