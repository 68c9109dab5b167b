// Apps with incorrect setups: the error says which line to change.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:http2'
import { it } from 'node:test'
import type { ErrorRequestHandler, Express } from 'express'
import session from 'express-session'
import Koa, { type Middleware } from 'koa'
import { koa } from '../../lib/http/koa.ts'
import { type GradioStateError, gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { forEachExpress, serve, sessionDefaults } from '../support/http/express.ts'
import { serveKoa } from '../support/http/koa.ts'

const instance = () => gradioState({ clock: fakeClock() })

/** Sends one request to an Express app, and resolves with the resulting error. */
async function errorOf(t: Parameters<typeof serve>[0], app: Express): Promise<GradioStateError> {
  let found: GradioStateError | undefined
  const note: ErrorRequestHandler = (error, _req, res, _next) => {
    found = error
    res.status(error.status ?? 500).end()
  }
  app.use(note)
  const response = await (await serve(t, app)).visitor().fetch('/')
  assert.equal(response.status, 500)
  assert.ok(found, 'the error handler has run')
  return found
}

/** Sends requests to a Koa app, and resolves with the errors that it emits. */
async function errorsOf(t: Parameters<typeof serve>[0], app: Koa, requests = 1): Promise<GradioStateError[]> {
  const found: GradioStateError[] = []
  app.on('error', error => found.push(error))
  const { visitor } = await serveKoa(t, app)
  for (let i = 0; i < requests; i++) assert.equal((await visitor().fetch('/')).status, 500)
  return found
}

function assertError(error: GradioStateError | undefined, code: string, line: string): void {
  assert.equal(error?.code, code)
  assert.ok(error?.message.includes(line), error?.message)
}

forEachExpress((_name, express) => {
  it('a handler before app.use(gradio) gets an error at the first request', async t => {
    const app = express()
    app.get('/', (req, res) => res.json(req.gradioState.get('name')))
    app.use(instance())
    assertError(await errorOf(t, app), 'NOT_MOUNTED', 'app.use(gradio) before the routes')
  })

  it('gradio.upload before app.use(gradio) gets an error', async t => {
    const app = express()
    const gradio = instance()
    app.post('/', gradio.upload.single('file'))
    app.use(gradio)
    const errors: GradioStateError[] = []
    const note: ErrorRequestHandler = (error, _req, res, _next) => {
      errors.push(error)
      res.status(error.status).end()
    }
    app.use(note)
    const body = new FormData()
    body.append('file', new Blob(['a']), 'a.txt')
    await (await serve(t, app)).visitor().fetch('/', { method: 'POST', body })
    assertError(errors[0], 'NOT_MOUNTED', 'app.use(gradio) before the routes')
  })

  it('a handler may still set the property of a request itself', async t => {
    const app = express()
    instance()
    app.get('/', (req, res) => {
      Object.assign(req, { gradioState: 'of a test' })
      res.json([req.gradioState, Object.keys(req).includes('gradioState')])
    })
    const response = await (await serve(t, app)).visitor().fetch('/')
    assert.deepEqual(await response.json(), ['of a test', true])
  })

  it('app.use(koa(gradio)) gets an error, and causes no other rejection', async t => {
    const app = express()
    const middleware: unknown = koa(instance())
    app.use(middleware as Parameters<Express['use']>[0])
    assertError(await errorOf(t, app), 'WRONG_FRAMEWORK', 'with app.use(gradio)')
  })

  it('app.use(gradioState) gets an error', async t => {
    const app = express()
    const uncalled: unknown = gradioState
    app.use(uncalled as Parameters<Express['use']>[0])
    assertError(await errorOf(t, app), 'NOT_CALLED', 'gradioState()')
  })

  for (const method of ['get', 'has', 'touch', 'delete'] as const) {
    it(`${method}() of a name that was never set throws an error that gradio is mounted before the session`, async t => {
      const app = express()
      app.use(instance())
      app.use(session(sessionDefaults()))
      app.get('/', (req, res, next) => {
        const run = async () => req.gradioState[method]('name')
        run().then(result => res.json({ result }), next)
      })
      assertError(await errorOf(t, app), 'MOUNTED_BEFORE_SESSION', 'before app.use(gradio)')
    })
  }

  it('a read of a request without a session middleware is no error', async t => {
    const app = express()
    app.use(instance())
    app.get('/', (req, res) => res.json({ has: req.gradioState.has('name') }))
    const response = await (await serve(t, app)).visitor().fetch('/')
    assert.deepEqual(await response.json(), { has: false })
  })
})

it('a handler of HTTP/2 before the middleware gets an error', async t => {
  instance()
  let found: unknown
  const server = createServer((req, res) => {
    try {
      Reflect.get(req, 'gradioState')
    } catch (error) {
      found = error
    }
    res.end()
  })
  t.after(() => server.close())
  server.listen(0)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const client = connect(`http://localhost:${port}`)
  t.after(() => client.close())
  await once(client.request({ ':path': '/' }).resume(), 'end')
  assertError(found as GradioStateError, 'NOT_MOUNTED', 'app.use(gradio) before the routes')
})

it('app.use(gradio) on Koa gets an error', async t => {
  const app = new Koa()
  const middleware: unknown = instance()
  app.use(middleware as Middleware)
  const [error] = await errorsOf(t, app)
  assertError(error, 'WRONG_FRAMEWORK', 'with app.use(koa(gradio))')
})

it('app.use(gradioState) on Koa gets an error', async t => {
  const app = new Koa()
  const uncalled: unknown = gradioState
  app.use(uncalled as Middleware)
  const [error] = await errorsOf(t, app)
  assertError(error, 'NOT_CALLED', 'gradioState()')
})

it('a handler before app.use(koa(gradio)) gets an error, from the second request that Koa receives', async t => {
  const app = new Koa()
  app.use(async (ctx, next) => {
    if (ctx.path === '/') ctx.body = ctx.gradioState.get('name')
    else await next()
  })
  app.use(koa(instance()))
  const { visitor } = await serveKoa(t, app)
  const errors: GradioStateError[] = []
  app.on('error', error => errors.push(error))
  await visitor().fetch('/favicon.ico')
  await visitor().fetch('/')
  assertError(errors.at(-1), 'NOT_MOUNTED', 'app.use(gradio) before the routes')
})
