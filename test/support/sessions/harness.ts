import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import {
  type ErrorContext,
  type ErrorListener,
  type GradioState,
  type GradioStateOptions,
  gradioState,
  type RequestState,
  type SessionState,
} from '../../../lib/index.ts'
import { type FakeClock, fakeClock } from '../../../lib/testing/index.ts'
import { TrackedSocket } from '../http/tracked-socket.ts'
import { closeNow } from './close-now.ts'

// For tests of the core: requests go straight to the middleware, so that only the fake clock determines what
// happens when. Browsers and sockets are tested with `site` of express.ts.

export interface Harness {
  readonly gradio: GradioState
  readonly clock: FakeClock
  /** The reported errors. A test that leaves any in here fails. */
  readonly errors: Reported[]
  /** Removes the listener that fills `errors`. */
  unlisten(): void
  /** A user; the same name is the same user. */
  user(name?: string): TestUser
}

export interface Reported {
  readonly error: unknown
  readonly context: ErrorContext
}

export interface TestUser {
  /** Sends a request, which is in flight until it is ended. Rejects with the error that the middleware passes to `next`. */
  begin(headers?: Record<string, string>): Promise<TestRequest>
  /** Sends a request, and ends it when `handler` has settled. */
  request<T = void>(handler?: (state: RequestState) => T | Promise<T>): Promise<T>
  /** The session of the user, started if necessary. */
  session(): Promise<SessionState>
  /** Opens a socket of the app. It ends like a socket: without a goodbye. */
  connect(): Promise<TestConnection>
}

export interface TestRequest {
  readonly state: RequestState
  readonly req: IncomingMessage
  /** Ends the response. */
  end(contentType?: string): void
}

export interface TestConnection {
  close(): void
}

/** How long a page whose socket broke may take to reconnect, before it counts as gone. */
export const RECONNECT = 1.5

/** An instance on a fake clock, for one test. */
export function harness(t: TestContext, options: GradioStateOptions = {}, clock = fakeClock()): Harness {
  const gradio = gradioState({ clock, identify: req => req.headers['x-user'] as string, ...options })
  const errors: Reported[] = []
  const listener: ErrorListener = (error, context) => errors.push({ error, context })
  gradio.on('error', listener)
  t.after(async () => {
    await closeNow(gradio, clock)
    assert.deepEqual(errors, [])
  })
  return {
    gradio,
    clock,
    errors,
    unlisten: () => gradio.off('error', listener),
    user: name => testUser(gradio, name),
  }
}

/** A user of an instance whose `identify` reads the header `x-user`. */
export function testUser(gradio: GradioState, name = 'somebody'): TestUser {
  async function begin(headers: Record<string, string> = {}): Promise<TestRequest> {
    const req: TestIncoming = {
      method: 'GET',
      url: '/',
      headers: { ...headers, 'x-user': name },
      socket: { destroyed: false },
      // It never closes.
      once: () => req,
    } as unknown as TestIncoming
    const res = new TestResponse()
    await new Promise<void>((resolve, reject) => {
      gradio(req, res as unknown as ServerResponse, error => (error ? reject(error) : resolve()))
    })
    return { state: req.gradioState, req, end: type => res.end(type) }
  }
  async function request<T>(handler?: (state: RequestState) => T | Promise<T>): Promise<T> {
    const { state, end } = await begin()
    try {
      return (await handler?.(state)) as T
    } finally {
      end()
    }
  }
  return {
    begin,
    request,
    async session() {
      const id = await request(state => state.id)
      return gradio.session(id) as SessionState
    },
    async connect() {
      const { req, end } = await begin()
      const socket = new TrackedSocket()
      gradio.track(req, socket)
      end()
      return { close: () => socket.close() }
    },
  }
}

type TestIncoming = IncomingMessage & { gradioState: RequestState }

/** The part of a response that the middleware uses. */
class TestResponse extends EventEmitter {
  destroyed = false
  headersSent = false
  writableEnded = false
  statusCode = 200
  #contentType: string | undefined

  setHeader(): void {}

  getHeader(name: string): string | undefined {
    return name === 'content-type' ? this.#contentType : undefined
  }

  end(contentType?: string): void {
    this.#contentType = contentType
    this.destroyed = this.headersSent = this.writableEnded = true
    this.emit('close')
  }
}

/** A promise, and the functions that settle it. */
export function deferred<T = void>() {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
