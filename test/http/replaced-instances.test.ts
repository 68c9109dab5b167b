// An instance that is recreated on the same server, as hot reload does.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { it, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { RequestHandler } from 'express'
import session, { MemoryStore } from 'express-session'
import { type GradioState, gradioState } from '../../lib/index.ts'
import { type FakeClock, fakeClock } from '../../lib/testing/index.ts'
import {
  type ExpressModule,
  forEachExpress,
  pass,
  serve,
  sessionDefaults,
  until,
} from '../support/http/express.ts'
import { closeNow } from '../support/sessions/close-now.ts'
import { warningsIn } from '../support/warnings.ts'

/** What the module of an app makes each time it runs. */
interface Module {
  readonly gradio: GradioState
  readonly router: RequestHandler
  /** What its hooks have received. */
  readonly events: string[]
}

function load(
  t: TestContext,
  express: ExpressModule,
  clock: FakeClock,
  name: string,
  middleware: RequestHandler[],
): Module {
  const gradio = gradioState({ clock })
  const events: string[] = []
  gradio.load(() => events.push(`${name} load`))
  gradio.unload(({ reason }) => events.push(`${name} unload ${reason}`))
  gradio.ended(({ reason }) => events.push(`${name} ended ${reason}`))
  const count = gradio.state<number>('count', { value: 0 })
  const router = express.Router()
  for (const each of middleware) router.use(each)
  router.use(gradio)
  router.post('/click', (req, res) => {
    req.gradioState.update(count, clicks => clicks + 1)
    res.json(req.gradioState.get(count))
  })
  t.after(() => closeNow(gradio, clock))
  return { gradio, router, events }
}

forEachExpress((_name, express) => {
  for (const attaches of [false, true]) {
    for (const framework of [false, true]) {
      const title = `${attaches ? 'with attach()' : 'by its first request'}, ${framework ? 'express-session' : 'own cookie'}`
      it(`the new instance takes over the tabs (${title})`, async t => {
        const clock = fakeClock()
        const middleware = framework ? [session(sessionDefaults({ store: new MemoryStore() }))] : []
        const make = (name: string) => load(t, express, clock, name, middleware)
        let current = make('A')
        const app = express()
        app.use((req, res, next) => void current.router(req, res, next))
        const server = createServer(app)
        if (attaches) current.gradio.attach(server)
        const { visitor } = await serve(t, server)
        const [user, idle] = [visitor(), visitor()]
        const [tab, other] = [await user.openPage({ id: 'tab' }), await idle.openPage({ id: 'other' })]
        const click = async () => (await user.fetch('/click', { method: 'POST' })).json()
        assert.equal(await click(), 1)

        const former = current
        current = make('B')
        if (attaches) current.gradio.attach(server)
        assert.deepEqual(former.events, ['A load', 'A load'])
        assert.equal(await click(), 1)
        assert.deepEqual([(await tab.closed).code, (await other.closed).code], [1012, 1012])
        await until(() => former.events.length === 6)
        assert.deepEqual(former.events.toSorted(), [
          'A ended shutdown',
          'A ended shutdown',
          'A load',
          'A load',
          'A unload shutdown',
          'A unload shutdown',
        ])

        // As the client of the browser does.
        const [again] = [await user.openPage({ id: 'tab', epoch: 1 }), await idle.openPage({ id: 'other' })]
        await pass(clock, 60)
        assert.equal(await click(), 2)
        assert.deepEqual(current.events, ['B load', 'B load'])
        assert.equal(current.gradio.stats().pages, 2)
        await again.close()
        await pass(clock, 3)
        assert.deepEqual(current.events, ['B load', 'B load', 'B unload disconnected'])
        assert.equal(former.events.length, 6)
      })
    }
  }

  it('a module that also makes another session store: the page that follows its new cookie shows it', async t => {
    const clock = fakeClock()
    const make = (name: string) => load(t, express, clock, name, [session(sessionDefaults())])
    let current = make('A')
    const app = express()
    app.use((req, res, next) => void current.router(req, res, next))
    const { visitor } = await serve(t, app)
    const user = visitor()
    const tab = await user.openPage({ id: 'tab' })
    const former = current
    current = make('B')
    await (
      await user.fetch('/click', { method: 'POST', headers: { referer: 'http://app.example/' } })
    ).arrayBuffer()
    assert.deepEqual(former.events, ['A load'])
    await user.fetch('/gradio_api/heartbeat/tab?n=1&renew', { method: 'POST' })
    assert.equal((await tab.closed).code, 1012)
    await user.openPage({ id: 'tab' })
    await pass(clock, 60)
    assert.deepEqual(former.events, ['A load', 'A unload shutdown', 'A ended shutdown'])
    assert.deepEqual(current.events, ['B load'])
  })

  it('a former instance is closed once, by however many requests', async t => {
    const clock = fakeClock()
    const modules = ['A', 'B', 'C'].map(name => load(t, express, clock, name, []))
    let current = modules[0] as Module
    const app = express()
    app.use((req, res, next) => void current.router(req, res, next))
    const { visitor } = await serve(t, app)
    const user = visitor()
    for (const each of modules) {
      current = each
      for (let times = 1; times <= 3; times++)
        assert.equal(await (await user.fetch('/click', { method: 'POST' })).json(), times)
    }
    const [a, b, c] = modules as [Module, Module, Module]
    assert.deepEqual(
      [a, b].map(({ events }) => events.length),
      [3, 3],
    )
    assert.deepEqual(c.events, ['C load'])
  })

  it('instances for other hosts, other mount paths and other users replace no other instance', async t => {
    const clock = fakeClock()
    const make = (name: string) => load(t, express, clock, name, [])
    const [first, second, below, later] = ['first', 'second', 'below', 'later'].map(make) as [
      Module,
      Module,
      Module,
      Module,
    ]
    const app = express()
    app.use('/below', below.router)
    app.use((req, res, next) => {
      if (req.headers['x-later'] !== undefined) later.router(req, res, next)
      else (req.headers.host?.startsWith('second') ? second : first).router(req, res, next)
    })
    const { port, visitor } = await serve(t, app)
    const user = visitor()
    const click = async (path: string, headers = {}) =>
      (await user.fetch(path, { method: 'POST', headers })).json()
    for (let times = 1; times <= 3; times++) {
      assert.equal(await click('/click'), times)
      assert.equal(await click('/below/click'), times)
    }
    // `fetch` sets the header Host itself.
    await new Promise<void>((resolve, reject) => {
      const cookie = [...user.cookies].map(pair => pair.join('=')).join('; ')
      import('node:http').then(({ request }) => {
        const headers = { host: 'second.example', cookie }
        request({ port, path: '/click', method: 'POST', headers }, res => res.resume().on('end', resolve))
          .on('error', reject)
          .end()
      }, reject)
    })
    const stranger = visitor()
    await (await stranger.fetch('/click', { method: 'POST', headers: { 'x-later': '1' } })).arrayBuffer()
    for (const { events } of [first, second, below, later]) assert.equal(events.length, 1)
    assert.equal(await click('/click'), 4)
  })

  it('a replaced instance that still receives requests warns once', async t => {
    const warnings = warningsIn(t)
    const clock = fakeClock()
    const [a, b] = [load(t, express, clock, 'A', []), load(t, express, clock, 'B', [])]
    const app = express()
    app.set('env', 'test')
    app.use((req, res, next) => void (req.headers['x-b'] === undefined ? a : b).router(req, res, next))
    const { visitor } = await serve(t, app)
    const user = visitor()
    const click = async (headers = {}) => (await user.fetch('/click', { method: 'POST', headers })).status
    assert.deepEqual([await click(), await click({ 'x-b': '1' })], [200, 200])
    assert.deepEqual([await click(), await click(), await click({ 'x-b': '1' })], [503, 503, 200])
    await turn()
    assert.deepEqual(warnings.filter(code => code === 'GRADIO_STATE_INSTANCE_REPLACED').length, 1)
  })
})
