import assert from 'node:assert/strict'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { it } from 'node:test'
import type { RequestHandler } from 'express'
import session from 'express-session'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { scratch } from '../support/files/disk.ts'
import { forEachExpress, json, serve, sessionDefaults, site, until } from '../support/http/express.ts'
import { StubResponse, stubRequest } from '../support/http/stub-http.ts'
import { dial, heartbeat, isHooked } from '../support/pages/handshake.ts'

const sendId: RequestHandler = (req, res) => {
  res.json({ id: req.gradioState.id })
}

forEachExpress((_name, express) => {
  it('mounted on a sub-path, routes and sockets are available there', async t => {
    const gradio = gradioState({ clock: fakeClock() })
    const app = express()
    app.use(session(sessionDefaults()))
    app.use('/tools/one', gradio)
    app.get('/tools/one/id', sendId)
    const served = await serve(t, app)
    const user = served.visitor()
    const path = '/tools/one/gradio_api'
    const page = await user.openPage({ path })
    const { body } = await json<{ id: string }>(user.fetch('/tools/one/id'))
    assert.equal(gradio.sessions()[0]?.id, body.id)
    assert.equal(gradio.stats().pages, 1)
    assert.equal((await user.fetch(`${path}/client.js`)).status, 200)
    assert.equal((await user.fetch('/gradio_api/client.js')).status, 404)
    assert.equal((await dial(t, served, 'page', { path, ticket: 'guess' })).status, 401)
    assert.equal(await page.close(), 204)
    assert.equal(gradio.stats().pages, 0)
    await gradio.close()
  })

  it('mounted on a router, with another path', async t => {
    const gradio = gradioState({ clock: fakeClock(), path: '/_state' })
    const app = express()
    const router = express.Router()
    router.use(session(sessionDefaults()))
    router.use(gradio)
    router.get('/id', sendId)
    app.use('/area', router)
    const served = await serve(t, app)
    const user = served.visitor()
    await user.openPage({ path: '/area/_state' })
    assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [1, 1])
    const { body } = await json<{ id: string }>(user.fetch('/area/id'))
    assert.equal(gradio.sessions()[0]?.id, body.id)
    await gradio.close()
  })

  it('mounted on a path with a parameter, each path has routes and sockets', async t => {
    const gradio = gradioState({ clock: fakeClock() })
    const app = express()
    app.use(session(sessionDefaults()))
    app.use('/:tenant', gradio)
    const served = await serve(t, app)
    const user = served.visitor()
    for (const tenant of ['one', 'two']) await user.openPage({ path: `/${tenant}/gradio_api` })
    assert.equal(gradio.stats().pages, 2)
    await gradio.close()
  })

  it('below a prefix that a proxy strips, URLs and the cookie path begin with it, and the routes stay the same', async t => {
    const gradio = gradioState({ clock: fakeClock(), cacheDir: scratch(t), publicPath: '/app' })
    t.after(() => gradio.close())
    const app = express()
    app.use('/tools', gradio)
    app.get('/tools/save', async (req, res) => {
      const { url } = await req.gradioState.saveFile('text', { name: 'a.txt' })
      res.json({ url })
    })
    const served = await serve(t, app)
    const user = served.visitor()
    const answer = await user.fetch('/tools/save')
    const { url } = (await answer.json()) as { url: string }
    assert.match(url, /^\/app\/tools\/gradio_api\/file\//)
    assert.equal((await gradio.sessions()[0]?.files())?.[0]?.url, url)
    assert.match(answer.headers.getSetCookie()[0] ?? '', /; Path=\/app\/tools;/)
    assert.equal(await (await user.fetch(url.slice('/app'.length))).text(), 'text')
    assert.equal((await user.fetch(url)).status, 404)
    const path = '/tools/gradio_api'
    await user.openPage({ path })
    assert.equal(gradio.stats().pages, 1)
    assert.equal((await dial(t, served, 'page', { path, ticket: 'guess' })).status, 401)
  })

  it('a session that is found by its id has URLs with the prefix before any request', async t => {
    const { gradio, visitor } = await site(t, express, {
      options: { cacheDir: scratch(t), publicPath: '/app', cookie: { path: '/' } },
      session: false,
      routes: app => app.get('/id', sendId),
    })
    const answer = await visitor().fetch('/id')
    assert.match(answer.headers.getSetCookie()[0] ?? '', /; Path=\/;/)
    const { url } = (await gradio.sessions()[0]?.saveFile('text')) ?? { url: '' }
    assert.match(url, /^\/app\/gradio_api\/file\//)
  })

  for (const hasFrameworkSession of [true, false]) {
    it(`two instances on two routers are separate, with ${hasFrameworkSession ? 'a framework session' : 'own cookies'}`, async t => {
      const instances = [gradioState({ clock: fakeClock() }), gradioState({ clock: fakeClock() })]
      const app = express()
      if (hasFrameworkSession) app.use(session(sessionDefaults()))
      for (const [at, gradio] of instances.entries()) {
        const router = express.Router()
        router.use(gradio)
        router.get('/id', sendId)
        app.use(`/r${at}`, router)
      }
      const served = await serve(t, app)
      const user = served.visitor()
      const ids: string[] = []
      for (const at of [0, 1]) {
        const { body } = await json<{ id: string }>(user.fetch(`/r${at}/id`))
        ids.push(body.id)
        await user.openPage({ path: `/r${at}/gradio_api` })
      }
      assert.notEqual(ids[0], ids[1])
      for (const [at, gradio] of instances.entries()) {
        assert.deepEqual([gradio.stats().pages, gradio.sessions().length], [1, 1])
        assert.equal(gradio.sessions()[0]?.id, ids[at])
      }
      assert.ok(isHooked(served.server))
      await instances[0]?.close()
      const other = { path: '/r1/gradio_api' }
      const { ticket } = await heartbeat(user, 'page', other)
      assert.equal((await dial(t, served, 'page', { ...other, ticket })).status, 101)
      assert.equal(instances[1]?.stats().pages, 2)
      await instances[1]?.close()
      assert.ok(!isHooked(served.server))
    })
  }

  it('mounted on two paths, a session found by its id has URLs of the one that its browser uses', async t => {
    const gradio = gradioState({ clock: fakeClock(), cacheDir: scratch(t) })
    const app = express()
    for (const path of ['/a', '/b']) {
      app.use(path, gradio)
      app.get(`${path}/id`, sendId)
    }
    const { visitor } = await serve(t, app)
    const users = { '/a': visitor(), '/b': visitor() }
    const idAt = async (path: '/a' | '/b') =>
      (await json<{ id: string }>(users[path].fetch(`${path}/id`))).body.id
    const ids = { '/a': await idAt('/a'), '/b': await idAt('/b') }
    for (const path of ['/a', '/b'] as const) {
      const file = await gradio.session(ids[path])?.saveFile('hello', { name: 'a.txt' })
      assert.equal(file?.url.startsWith(`${path}/gradio_api/file/`), true, file?.url)
      assert.equal(await (await users[path].fetch(file.url)).text(), 'hello')
    }
    await gradio.close()
  })

  it('one instance on two routers is one instance', async t => {
    const gradio = gradioState({ clock: fakeClock() })
    const app = express()
    app.use(session(sessionDefaults()))
    for (const path of ['/one', '/two']) {
      const router = express.Router()
      router.use(gradio)
      router.get('/id', sendId)
      app.use(path, router)
    }
    const served = await serve(t, app)
    const user = served.visitor()
    const ids = []
    for (const path of ['/one', '/two']) {
      ids.push((await json<{ id: string }>(user.fetch(`${path}/id`))).body.id)
      await user.openPage({ path: `${path}/gradio_api` })
    }
    assert.equal(ids[0], ids[1])
    assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [2, 1])
    await gradio.close()
  })

  it('one instance on two servers serves both, and removes its hook from a server that closes', async t => {
    const gradio = gradioState({ clock: fakeClock() })
    const app = express()
    app.use(session(sessionDefaults()))
    app.use(gradio)
    const served = [await serve(t, app), await serve(t, app)] as const
    for (const { visitor } of served) await visitor().openPage()
    assert.equal(gradio.stats().pages, 2)
    const [{ server }] = served
    const closed = new Promise(resolve => server.close(resolve))
    server.closeAllConnections()
    for (const { id } of gradio.sessions()) await gradio.endSession(id)
    await closed
    assert.deepEqual([isHooked(server), isHooked(served[1].server)], [false, true])
    await gradio.close()
  })

  it('behind a trusted proxy the origin of the public host is accepted', async t => {
    const { app, gradio, visitor } = await site(t, express, { session: { cookie: { secure: true } } })
    app.set('trust proxy', 1)
    const user = visitor()
    const headers = {
      origin: 'https://app.example',
      'x-forwarded-host': 'app.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '203.0.113.7',
    }
    assert.equal((await heartbeat(user, 'page', { headers })).status, 200)
    assert.ok(user.cookies.has('connect.sid'))
    await until(() => gradio.stats().pages === 1)
    const evil = { ...headers, origin: 'https://evil.example' }
    assert.equal((await heartbeat(user, 'page', { headers: evil })).status, 403)
  })
})

it('an error thrown after the middleware is thrown at its caller, once', t => {
  const gradio = gradioState()
  t.after(() => gradio.close())
  let calls = 0
  const next = () => {
    calls++
    throw new Error('theirs')
  }
  assert.throws(
    () => gradio(stubRequest('GET', '/', {}), new StubResponse() as unknown as ServerResponse, next),
    /theirs/,
  )
  assert.equal(calls, 1)
})

it('a socket that no server has accepted has no server to attach to', t => {
  const gradio = gradioState()
  t.after(() => gradio.close())
  const req = new IncomingMessage(new Socket())
  let errors: unknown[] = []
  gradio(req, new ServerResponse(req), (...given) => {
    errors = given
  })
  assert.deepEqual(errors, [])
  assert.ok('gradioState' in req)
})
