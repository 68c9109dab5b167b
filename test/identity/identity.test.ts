import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { ErrorRequestHandler, Express } from 'express'
import session from 'express-session'
import { type ErrorCode, type GradioStateError, gradioState } from '../../lib/index.ts'
import { fakeClock, type Visitor } from '../../lib/testing/index.ts'
import { forEachExpress, json, serve, sessionDefaults, site } from '../support/http/express.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

const POST = { method: 'POST' }

interface Answer {
  id?: string
  code?: ErrorCode
}

function routes(app: Express) {
  app.get('/id', (req, res) => res.json({ id: req.gradioState.id }))
  app.get('/nothing', (_req, res) => res.send('nothing'))
  const answerError: ErrorRequestHandler = (error: GradioStateError, _req, res, _next) => {
    res.status(error.status ?? 500).json({ code: error.code, message: error.message })
  }
  app.use(answerError)
}

const ask = (user: Visitor, headers: Record<string, string> = {}) =>
  json<Answer>(user.fetch('/id', { headers }))
const idOf = async (user: Visitor, as: string) => (await ask(user, { 'x-user': as })).body.id

forEachExpress((_name, express) => {
  it('identify: requests with the same credential share a session, in any browser', async t => {
    const { gradio, visitor } = await site(t, express, {
      options: { identify: req => req.headers['x-user'] as string | undefined },
      routes,
    })
    const [laptop, phone] = [visitor(), visitor()]
    const id = await idOf(laptop, 'ann')
    assert.equal(await idOf(phone, 'ann'), id)
    assert.notEqual(await idOf(phone, 'bob'), id)
    assert.equal(laptop.cookies.size + phone.cookies.size, 0)
    assert.equal(gradio.stats().sessions, 2)
  })

  it('identify: undefined falls back to the framework session', async t => {
    const { visitor } = await site(t, express, { options: { identify: () => undefined }, routes })
    const user = visitor()
    const { id } = (await ask(user)).body
    assert.deepEqual([...user.cookies.keys()], ['connect.sid'])
    assert.equal((await ask(user)).body.id, id)
  })

  it('identify: a result that is not a string or is empty, and an exception, are reported as errors', async t => {
    let give = (): unknown => ''
    const { visitor } = await site(t, express, { options: { identify: () => give() as string }, routes })
    for (const wrong of ['', 7, null, Promise.resolve('ann')]) {
      give = () => wrong
      const { status, body } = await ask(visitor())
      assert.deepEqual([status, body.code], [500, 'OPTION_INVALID'])
    }
    give = () => {
      throw Object.assign(new Error('bad token'), { status: 401 })
    }
    assert.equal((await ask(visitor())).status, 401)
  })

  it("session: 'framework' has no other identity: without a framework session, uses are rejected", async t => {
    const { gradio, visitor } = await site(t, express, {
      session: false,
      options: { session: 'framework' },
      routes,
    })
    const user = visitor()
    const { status, body } = await ask(user)
    assert.deepEqual([status, body.code], [503, 'FRAMEWORK_SESSION_UNAVAILABLE'])
    assert.equal((await user.fetch('/nothing')).status, 200)
    assert.equal((await user.fetch('/gradio_api/heartbeat/page?n=1', POST)).status, 503)
    assert.deepEqual([user.cookies.size, gradio.stats().sessions], [0, 0])
  })

  it("session: 'auto' creates no second identity while the store is unavailable", async t => {
    const store = new RecordingStore()
    const { gradio, visitor } = await site(t, express, { session: { store }, routes })
    const [user, other] = [visitor(), visitor()]
    const { id } = (await ask(user)).body
    const page = await user.openPage()
    store.emit('disconnect')
    for (const someone of [user, other]) {
      const { status, body } = await ask(someone)
      assert.deepEqual([status, body.code], [503, 'FRAMEWORK_SESSION_UNAVAILABLE'])
      assert.equal((await someone.fetch('/nothing')).status, 200)
    }
    assert.equal(await page.beat(), 503)
    assert.equal(other.cookies.size, 0)
    store.emit('connect')
    assert.equal((await ask(user)).body.id, id)
    assert.equal(await page.beat(), 200)
    assert.equal(gradio.stats().sessions, 1)
  })

  it("the library's own cookie is used if there never was a framework session", async t => {
    const { visitor } = await site(t, express, { session: false, routes })
    const user = visitor()
    await ask(user)
    assert.deepEqual([...user.cookies.keys()], ['gradio_state'])
  })

  it('mounted before the session middleware, the first use throws an error that says so', async t => {
    const gradio = gradioState({ clock: fakeClock() })
    const app = express()
    app.use(gradio)
    app.use(session(sessionDefaults()))
    routes(app)
    const { visitor } = await serve(t, app)
    const user = visitor()
    assert.equal((await user.fetch('/nothing')).status, 200)
    const { status, body } = await ask(user)
    assert.deepEqual([status, body.code], [500, 'MOUNTED_BEFORE_SESSION'])
    assert.equal(gradio.stats().sessions, 0)
  })

  it("with session: 'cookie' or identify it can be mounted before the session middleware", async t => {
    for (const options of [{ session: 'cookie' as const }, { identify: () => 'ann' }]) {
      const app = express()
      app.use(gradioState({ clock: fakeClock(), ...options }))
      app.use(session(sessionDefaults()))
      routes(app)
      const { visitor } = await serve(t, app)
      const user = visitor()
      const { status, body } = await ask(user)
      assert.equal(status, 200)
      assert.equal((await ask(user)).body.id, body.id)
    }
  })

  it('mounted twice it works like once', async t => {
    const { app, gradio, visitor } = await site(t, express)
    const router = express.Router()
    router.use(gradio)
    app.use(gradio)
    app.use(router)
    routes(app)
    const user = visitor()
    const { id } = (await ask(user)).body
    await user.openPage()
    assert.equal((await ask(user)).body.id, id)
    assert.deepEqual([gradio.stats().sessions, gradio.stats().pages], [1, 1])
  })

  it('two instances on one request throw', async t => {
    const second = gradioState({ clock: fakeClock() })
    const { visitor } = await site(t, express, {
      routes(app) {
        app.use(second)
        routes(app)
      },
    })
    const { status, body } = await ask(visitor())
    assert.deepEqual([status, body.code], [500, 'TWO_INSTANCES'])
  })

  it('info is called when the session starts, and its result is passed to hooks', async t => {
    const infos: unknown[] = []
    const { gradio, clock, visitor } = await site(t, express, {
      options: { info: req => ({ agent: req.headers['user-agent'] }) },
      routes,
    })
    gradio.load(({ session }) => infos.push(session.info))
    gradio.unload(({ session }) => infos.push(session.info))
    await ask(visitor(), { 'user-agent': 'a browser' })
    await gradio.close()
    await clock.advance(1)
    assert.deepEqual(infos, [{ agent: 'a browser' }, { agent: 'a browser' }])
  })
})
