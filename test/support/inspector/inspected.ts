import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import type { TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Request } from 'express'
import type { SessionOptions } from 'express-session'
import type { Snapshot } from '../../../lib/http/inspector/data.ts'
import type { GradioState, GradioStateOptions, InspectorOptions, RequestState } from '../../../lib/index.ts'
import type { Visitor } from '../../../lib/testing/index.ts'
import { type ExpressModule, type Site, site } from '../http/express.ts'
import { StubResponse, stubRequest } from '../http/stub-http.ts'

/** The path of the inspector. */
export const INSPECTOR = '/admin/sessions'

export interface InspectedOptions {
  options?: GradioStateOptions
  /** @default everyone who has logged in as an operator */
  inspector?: Partial<InspectorOptions>
  session?: Partial<SessionOptions>
  routes?: NonNullable<Parameters<typeof site>[2]>['routes']
}

export interface Inspected extends Site {
  /** Logs in as an operator. */
  operator(): Promise<Visitor>
  /** A new user with a session; returns its id. */
  user(info?: string): Promise<{ user: Visitor; id: string }>
}

/** An app with users, operators and an inspector. */
export async function inspected(
  t: TestContext,
  express: ExpressModule,
  { options, inspector, session = {}, routes }: InspectedOptions = {},
): Promise<Inspected> {
  const served = await site(t, express, {
    session,
    options: { info: req => req.headers['x-info'], ...options },
    routes(app, gradio) {
      app.post('/login', (req, res) => {
        Object.assign(req.session, { isOperator: true })
        res.json({})
      })
      app.get('/id', (req, res) => res.send(req.gradioState.id))
      routes?.(app, gradio)
      app.use(INSPECTOR, gradio.inspector({ authorize: isOperator, ...inspector }))
    },
  })
  return {
    ...served,
    async operator() {
      const operator = served.visitor()
      await (await operator.fetch('/login', { method: 'POST' })).arrayBuffer()
      return operator
    },
    async user(info = 'someone') {
      const user = served.visitor()
      const response = await user.fetch('/id', { headers: { 'x-info': info } })
      return { user, id: await response.text() }
    },
  }
}

function isOperator(req: Request): boolean {
  return (req.session as { isOperator?: boolean }).isOperator === true
}

/** The data that the page would receive. */
export async function snapshot(operator: Visitor, query = ''): Promise<Snapshot> {
  const response = await operator.fetch(`${INSPECTOR}?data&${query}`)
  assert.equal(response.status, 200)
  return (await response.json()) as Snapshot
}

/** Ends a session, as the page does. */
export function endSession(
  operator: Visitor,
  id: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  return operator.fetch(`${INSPECTOR}?end=${id}`, { method: 'POST', headers })
}

/** Identifies the users of {@link beginSessions}. */
export const identifyStub: Partial<GradioStateOptions> = {
  identify: req => req.headers['x-user']?.toString(),
}

/** Begins sessions of users who sent one request each, without a network. The instance needs {@link identifyStub}. */
export async function beginSessions(
  gradio: GradioState,
  count: number,
  use: (state: RequestState, number: number) => unknown = state => state.id,
): Promise<void> {
  for (let number = 1; number <= count; number++) {
    const name = `user-${number}`
    const req: IncomingMessage & { gradioState?: RequestState } = stubRequest('GET', '/', {
      'x-user': name,
      'x-info': `${name}@app.test`,
    })
    const res = new StubResponse()
    gradio(req, res.asResponse, () => {})
    await use(req.gradioState!, number)
    res.end()
    res.close()
    if (number % 500 === 0) await setImmediate()
  }
}
