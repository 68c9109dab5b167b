// Errors are handled as usual in Koa, and no middleware waits forever.

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { it } from 'node:test'
import type { Middleware } from 'koa'
import koaSession from 'koa-session'
import { koa } from '../../lib/http/koa.ts'
import { GradioStateError, gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { scratch } from '../support/files/disk.ts'
import { until } from '../support/http/express.ts'
import { ask, forEachKoa, get, type KoaRoutes, koaSite, route, serveKoa, set } from '../support/http/koa.ts'
import { inStore, KOA_SESSIONS } from '../support/http/koa-sessions.ts'
import { isAbout } from '../support/option-error.ts'
import { heartbeat } from '../support/pages/handshake.ts'
import { deferred } from '../support/sessions/harness.ts'

const POST = { method: 'POST' }

const refuse: Middleware = () => {
  throw new GradioStateError('SESSION_FULL', 'Expected less, got more.')
}

const routes: KoaRoutes = {
  'GET /refused': refuse,
  'GET /mistaken': ctx => {
    ctx.gradioState.set('held', 'a name that has a definition')
  },
}

forEachKoa(Koa => {
  it('a rejection is answered with its status and message, and emitted to app.on("error")', async t => {
    const { visitor, failures, reports } = await koaSite(t, Koa, { routes })
    const { status, text } = await ask(visitor(), '/refused', 'GET')
    assert.deepEqual([status, text], [413, 'Expected less, got more.'])
    assert.equal((await visitor().fetch('/refused')).headers.get('gradio-state-error'), 'SESSION_FULL')
    assert.deepEqual(
      failures.map(({ code, name }) => [code, name]),
      [
        ['SESSION_FULL', 'GradioStateError'],
        ['SESSION_FULL', 'GradioStateError'],
      ],
    )
    assert.deepEqual(reports, [])
  })

  it('a programming error is answered with 500, and not explained to the browser', async t => {
    const { visitor, failures } = await koaSite(t, Koa, { routes })
    const { status, text } = await ask(visitor(), '/mistaken', 'GET')
    assert.deepEqual([status, text], [500, 'Internal Server Error'])
    assert.deepEqual(
      failures.map(({ code }) => code),
      ['STATE_DEFINED'],
    )
  })

  it('earlier middleware can handle it', async t => {
    const handle: Middleware = async (ctx, next) => {
      try {
        await next()
      } catch (error) {
        const { status, code } = error as GradioStateError
        ctx.status = status
        ctx.body = { code }
      }
    }
    const { gradio, visitor, failures } = await koaSite(t, Koa, { routes, before: [handle] })
    const answer = await visitor().fetch('/refused')
    assert.deepEqual([answer.status, await answer.json()], [413, { code: 'SESSION_FULL' }])
    await gradio.close()
    const late = await visitor().fetch('/get')
    assert.deepEqual([late.status, await late.json()], [503, { code: 'CLOSED' }])
    assert.deepEqual(failures, [])
  })

  it("after close() using the state is rejected with 503, and requests that don't use it continue", async t => {
    const { gradio, visitor, failures } = await koaSite(t, Koa)
    const user = visitor()
    await set(user, 'mine')
    await gradio.close()
    assert.deepEqual((await ask(user, '/get', 'GET')).text, 'Service Unavailable')
    assert.equal((await get(visitor())).status, 503)
    assert.equal((await user.fetch('/nothing')).status, 200)
    assert.equal((await user.fetch('/gradio_api/client.js')).status, 200)
    const beat = await heartbeat(user, 'page')
    assert.deepEqual([beat.status, beat.code], [503, 'CLOSED'])
    assert.deepEqual(
      failures.map(({ code }) => code),
      ['CLOSED', 'CLOSED'],
    )
  })

  it('arguments that are not the result of gradioState() are rejected', () => {
    for (const [wrong, shown] of [
      [undefined, 'undefined'],
      [{}, 'an object (Object)'],
      [gradioState, 'a function (gradioState)'],
      [() => {}, 'a function'],
    ] as const) {
      assert.throws(
        () => koa(wrong as never),
        isAbout('the argument of koa()', shown, 'the result of gradioState()'),
      )
    }
  })

  it('mounted twice, it works like once', async t => {
    const gradio = gradioState({ clock: fakeClock() })
    const app = new Koa()
    app.use(koa(gradio)).use(koa(gradio)).use(koa(gradio))
    app.use(route({ 'GET /id': ctx => (ctx.body = ctx.gradioState.id) }))
    const user = (await serveKoa(t, app)).visitor()
    await user.openPage()
    const ids = [await (await user.fetch('/id')).text(), await (await user.fetch('/id')).text()]
    assert.deepEqual(ids, Array(2).fill(gradio.sessions()[0]?.id))
    assert.equal(gradio.stats().pages, 1)
    assert.equal((await user.fetch('/unknown')).status, 404)
    await gradio.close()
  })

  it('two instances on one request throw', async t => {
    const failures: GradioStateError[] = []
    const app = new Koa()
    app.on('error', error => failures.push(error))
    for (const gradio of [gradioState({ clock: fakeClock() }), gradioState({ clock: fakeClock() })])
      app.use(koa(gradio))
    const user = (await serveKoa(t, app)).visitor()
    assert.equal((await user.fetch('/')).status, 500)
    assert.equal(failures[0]?.code, 'TWO_INSTANCES')
  })

  for (const [name, options] of Object.entries({
    'an external store': inStore().store,
    'the cookie': undefined,
  })) {
    it(`mounted before koa-session, it throws, with ${name}`, async t => {
      const failures: GradioStateError[] = []
      const gradio = gradioState({ clock: fakeClock() })
      const app = new Koa()
      app.keys = ['a key']
      app.on('error', error => failures.push(error))
      app.use(koa(gradio))
      app.use(koaSession(options ? { store: options } : {}, app))
      app.use(
        route({
          'GET /id': ctx => (ctx.body = ctx.gradioState.id),
          'GET /nothing': ctx => (ctx.body = 'nothing'),
        }),
      )
      const user = (await serveKoa(t, app)).visitor()
      assert.equal((await user.fetch('/nothing')).status, 200)
      assert.equal((await user.fetch('/id')).status, 500)
      assert.deepEqual(
        failures.map(({ code }) => code),
        ['MOUNTED_BEFORE_SESSION'],
      )
      await gradio.close()
    })
  }

  for (const [name, koaSession] of Object.entries(KOA_SESSIONS)) {
    it(`every middleware runs to completion, no matter which one responds, with ${name}`, async t => {
      let after = 0
      const count: Middleware = async (_ctx, next) => {
        await next()
        after++
      }
      const { gradio, visitor, passed, failures, settled } = await koaSite(t, Koa, {
        koaSession: koaSession(),
        options: { uploadRoute: true },
        after: [count],
      })
      const user = visitor()
      const form = new FormData()
      form.append('files', new Blob(['a']), 'a.txt')
      const uploaded = await user.fetch('/gradio_api/upload', { ...POST, body: form })
      const [{ url }] = (await uploaded.json()) as [{ url: string }]
      const answers = [
        await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
        await user.fetch('/gradio_api/heartbeat/page', { method: 'OPTIONS' }),
        await user.fetch('/gradio_api/upload', { method: 'OPTIONS' }),
        await user.fetch('/gradio_api/upload', { ...POST, body: '{}' }),
        await user.fetch('/gradio_api/client.js'),
        await user.fetch('/gradio_api/pagehide/page?n=1', POST),
        await user.fetch('/gradio_api/heartbeat/other'),
        await user.fetch(url),
        await user.fetch(`${url}.unknown`),
      ]
      await settled()
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 204, 204, 400, 200, 204, 426, 200, 404],
      )
      assert.deepEqual([passed.begun, after], [10, 0])
      await user.fetch('/unknown')
      await settled()
      assert.deepEqual([passed.begun, after], [11, 1])
      await until(() => gradio.stats().open === 0, 'that nobody is here')
      assert.deepEqual(failures, [])
    })
  }

  it("earlier middleware can't change the library's responses after its next()", async t => {
    const wrap: Middleware = async (ctx, next) => {
      await next()
      ctx.set('X-Late', 'yes')
      ctx.body = { wrapped: ctx.body }
    }
    const { visitor, failures, settled } = await koaSite(t, Koa, {
      before: [wrap],
      options: { cacheDir: scratch(t), uploadRoute: true },
    })
    const user = visitor()
    assert.deepEqual(await (await user.fetch('/nothing')).json(), { wrapped: 'nothing' })
    const form = new FormData()
    form.append('files', new Blob(['text']), 'a.txt')
    const uploaded = await user.fetch('/gradio_api/upload', { ...POST, body: form })
    const [{ url }] = (await uploaded.json()) as [{ url: string }]
    const answers = [
      await user.fetch(url),
      await user.fetch(url, { headers: { range: 'bytes=9-' } }),
      await user.fetch(`${url}.unknown`),
      await user.fetch('/gradio_api/client.js'),
      await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
    ]
    await settled()
    assert.deepEqual(
      answers.map(({ status, headers }) => [status, headers.get('content-type'), headers.get('x-late')]),
      [
        [200, 'text/plain; charset=utf-8', null],
        [416, null, null],
        [404, 'application/json', null],
        [200, 'text/javascript; charset=utf-8', null],
        [200, 'application/json', null],
      ],
    )
    assert.equal(await answers[0]?.text(), 'text')
    assert.deepEqual(failures, [])
  })

  it('every middleware runs to its end when the browser disconnects', async t => {
    const slow = deferred()
    const koaSession = inStore()
    const { gradio, visitor, port, clock, passed, settled, failures } = await koaSite(t, Koa, {
      koaSession,
      options: { uploadRoute: true },
    })
    const hook = deferred()
    gradio.unload(() => hook.promise)
    const user = visitor()
    await set(user, 'mine')
    await settled()

    // In an upload.
    const uploading = connect(port, '127.0.0.1')
    uploading.on('error', () => {})
    uploading.write(
      'POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n' +
        'Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n' +
        'Content-Disposition: form-data; name="files"; filename="half.bin"\r\n\r\n',
    )
    uploading.write(Buffer.alloc(1_000_000))
    await until(() => gradio.stats().sessions === 2, 'that the upload has begun')
    uploading.destroy()
    await settled()

    // While the first page of a session waits for the store.
    koaSession.store.trouble = async () => {
      await slow.promise
      return undefined
    }
    const aborting = new AbortController()
    const { signal } = aborting
    const asked = [
      visitor().fetch('/gradio_api/heartbeat/new?n=1', { ...POST, signal }),
      visitor().fetch('/gradio_api/heartbeat/newer?n=1', { ...POST, signal }),
    ]
    await until(() => passed.begun === passed.settled + 2, 'that they have come')
    await new Promise(resolve => setTimeout(resolve, 20))
    aborting.abort()
    for (const answer of asked) await assert.rejects(answer)
    await new Promise(resolve => setTimeout(resolve, 20))
    slow.resolve()
    await settled()
    koaSession.store.trouble = () => undefined

    // While a request waits for unload hooks.
    await until(() => gradio.stats().open === 0, 'that nobody is here')
    await clock.advance(2)
    const waiting = new AbortController()
    const held = user.fetch('/get', { signal: waiting.signal })
    await until(() => passed.begun === passed.settled + 1, 'that it has come')
    await new Promise(resolve => setTimeout(resolve, 20))
    waiting.abort()
    await assert.rejects(held)
    hook.resolve()
    await settled()
    await until(() => gradio.stats().open === 0, 'that nobody is here')
    // Koa reports this for every connection that breaks.
    const others = failures.filter(({ code }) => !/^(ECONNRESET|HPE_)/.test(code))
    assert.deepEqual(others, [])
  })

  it('the default handler of app.on("error") does not log errors that are sent to the browser', async t => {
    const said = t.mock.method(console, 'error', () => {})
    const gradio = gradioState({ clock: fakeClock() })
    const app = new Koa()
    app.use(koa(gradio)).use(refuse)
    const user = (await serveKoa(t, app)).visitor()
    assert.equal((await user.fetch('/')).status, 413)
    assert.equal(said.mock.callCount(), 0)
    await gradio.close()
  })
})
