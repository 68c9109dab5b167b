import { createServer, type RequestListener, Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo, Socket } from 'node:net'
import { describe, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import express, { type Express, type RequestHandler } from 'express'
import session, { type SessionOptions } from 'express-session'
import { type Clock, type GradioState, type GradioStateOptions, gradioState } from '../../../lib/index.ts'
import { type FakeClock, fakeClock, type Visitor, visitor } from '../../../lib/testing/index.ts'
import { closeNow } from '../sessions/close-now.ts'

export type ExpressModule = typeof express

const require = createRequire(import.meta.url)

// The alias has no types; the parts that the tests use are the same in both versions.
const VERSIONS: Readonly<Record<string, ExpressModule>> = {
  'Express 4': require('express4') as ExpressModule,
  'Express 5': express,
}

/** Declares the same tests for each version of Express. */
export function forEachExpress(define: (name: string, express: ExpressModule) => void): void {
  for (const [name, module] of Object.entries(VERSIONS)) describe(name, () => define(name, module))
}

/** A server on its own port, for one test. */
export interface Served {
  readonly server: Server
  readonly port: number
  readonly origin: string
  /** Its open connections, including upgraded ones. */
  readonly sockets: ReadonlySet<Socket>
  /** A new user: without cookies. */
  visitor(): Visitor
}

/** Listens on an ephemeral port until the test is over; then every socket is destroyed, including upgraded ones. */
export async function serve(t: TestContext, app: RequestListener | Server): Promise<Served> {
  const server = app instanceof Server ? app : createServer(app)
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  // Otherwise it closes an idle connection after 5 s, perhaps at the moment in which the test sends a request on it.
  server.keepAliveTimeout = 0
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    const closed = new Promise(resolve => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  })
  const { port } = server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  return { server, port, origin, sockets, visitor: () => visitor(origin) }
}

export interface SiteOptions {
  /** The options of `gradioState()`. @default for the clock: a new fake one */
  options?: GradioStateOptions
  /** The options of express-session; `false`: no framework session. @default what the README recommends */
  session?: Partial<SessionOptions> | false
  /** Middleware before everything else. */
  before?: RequestHandler[]
  /** The app's own routes. */
  routes?(app: Express, gradio: GradioState): void
}

export interface Site extends Served {
  readonly app: Express
  readonly gradio: GradioState
  /** The clock of the instance. With a real clock in the options, this one doesn't advance. */
  readonly clock: FakeClock
}

/** An app with the library, being served. */
export async function site(
  t: TestContext,
  module: ExpressModule,
  { options, session: sessionOptions = {}, before = [], routes }: SiteOptions = {},
): Promise<Site> {
  const clock = options?.clock ?? fakeClock()
  const advance = async (seconds: number) => {
    if (isFake(clock)) await clock.advance(seconds)
  }
  const gradio = gradioState({ ...options, clock })
  const app = module()
  app.set('env', 'test')
  for (const handler of before) app.use(handler)
  if (sessionOptions !== false) app.use(session(sessionDefaults(sessionOptions)))
  app.use(gradio)
  routes?.(app, gradio)
  const served = await serve(t, app)
  t.after(() => closeNow(gradio, { advance }))
  // In a cluster, it has to connect to the other nodes first.
  await advance(0)
  return { ...served, app, gradio, clock: clock as FakeClock }
}

function isFake(clock: Clock): clock is FakeClock {
  return 'advance' in clock
}

/** The options that the README recommends, changed by `options`. */
export function sessionDefaults(options: Partial<SessionOptions> = {}): SessionOptions {
  return { secret: 'a secret', resave: false, saveUninitialized: false, ...options }
}

/** Waits, in real time, for events of sockets. */
export async function until(condition: () => boolean, what = String(condition)): Promise<void> {
  const giveUp = performance.now() + PATIENCE * 1_000
  while (!condition()) {
    if (performance.now() > giveUp) throw new Error(`Expected within ${PATIENCE} s: ${what}`)
    await sleep(2)
  }
}

/** In seconds: a busy machine may take long, and if it never happens, the test fails anyway. */
const PATIENCE = 120

/** Waits until no request and no page keeps a session open. */
export function idle(gradio: GradioState): Promise<void> {
  return until(() => gradio.stats().open === 0, 'that every session is closed')
}

/** Advances the time while pages are open: no faster than their sockets can answer the pings. */
export async function pass(clock: FakeClock, seconds: number): Promise<void> {
  for (let left = seconds; left > 0; left -= PING_EVERY) {
    await clock.advance(Math.min(left, PING_EVERY))
    await sleep(3)
  }
}

/** Advances the time at once, unless pages are open. */
export function passFor(gradio: GradioState, clock: FakeClock, seconds: number): Promise<void> {
  return gradio.stats().pages === 0 ? clock.advance(seconds) : pass(clock, seconds)
}

/** The default of the option `heartbeat`. */
const PING_EVERY = 15

/** The status and the JSON of a response. */
export async function json<T = unknown>(answer: Promise<Response>): Promise<{ status: number; body: T }> {
  const response = await answer
  return { status: response.status, body: (await response.json()) as T }
}
