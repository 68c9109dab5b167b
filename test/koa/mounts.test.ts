import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { Middleware, Next } from 'koa'
import koaSession from 'koa-session'
import { koa } from '../../lib/http/koa.ts'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { scratch } from '../support/files/disk.ts'
import { json } from '../support/http/express.ts'
import { forEachKoa, get, type KoaModule, koaSite, route, serveKoa } from '../support/http/koa.ts'
import { inCookie, inStore, noSession } from '../support/http/koa-sessions.ts'
import { dial } from '../support/pages/handshake.ts'

/** Like koa-mount: removes the prefix from the path, and restores it for later middleware. */
function mount(prefix: string, ...middleware: Middleware[]): Middleware {
  return async (ctx, next) => {
    const { path } = ctx
    if (path !== prefix && !path.startsWith(`${prefix}/`)) return next()
    const below = path.slice(prefix.length) || '/'
    const leave = async () => {
      ctx.path = path
      await next()
      ctx.path = below
    }
    ctx.path = below
    await middleware.reduceRight<Next>((next, run) => async () => run(ctx, next), leave)()
    ctx.path = path
  }
}

interface Saved {
  id: string
  url: string
}

async function mounted(t: TestContext, Koa: KoaModule, hasSession: boolean) {
  const gradio = gradioState({ clock: fakeClock(), cacheDir: scratch(t) })
  const save: Middleware = async ctx => {
    const { url } = await ctx.gradioState.saveFile('text', { name: 'a.txt' })
    ctx.body = { id: ctx.gradioState.id, url }
  }
  const app = new Koa()
  app.keys = ['a key']
  if (hasSession) app.use(koaSession({}, app))
  app.use(mount('/tools', mount('/one', koa(gradio), route({ 'GET /': save, 'GET /save': save }))))
  const served = await serveKoa(t, app)
  t.after(() => gradio.close())
  return { ...served, gradio }
}

const secureCookies = (answer: Response) =>
  answer.headers.getSetCookie().map(cookie => /; secure\b/i.test(cookie))

const BY_HTTPS = { 'x-forwarded-proto': 'https' }

forEachKoa(Koa => {
  for (const hasSession of [true, false]) {
    it(`below a path, its routes, sockets and URLs work, ${hasSession ? 'with a session' : 'with its own cookie'}`, async t => {
      const served = await mounted(t, Koa, hasSession)
      const { gradio } = served
      const user = served.visitor()
      const path = '/tools/one/gradio_api'
      const page = await user.openPage({ path })
      for (const asked of [
        '/tools/one/save',
        '/tools/one/save?x=/save',
        '/tools/one/',
        '/tools/one',
        '/tools/one?x',
      ]) {
        const { body } = await json<Saved>(user.fetch(asked))
        assert.equal(body.id, gradio.sessions()[0]?.id)
        assert.ok(body.url.startsWith(`${path}/file/`), `${body.url} of ${asked}`)
        assert.equal(await (await user.fetch(body.url)).text(), 'text')
      }
      assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [1, 1])
      assert.equal((await user.fetch(`${path}/client.js`)).status, 200)
      assert.equal((await user.fetch('/gradio_api/client.js')).status, 404)
      assert.equal((await user.fetch('/tools/one-more/gradio_api/client.js')).status, 404)
      assert.equal((await dial(t, served, 'page', { path, ticket: 'guess' })).status, 401)
      assert.equal(await page.close(), 204)
    })
  }

  it('below a path, its own cookie has that path', async t => {
    const { visitor } = await mounted(t, Koa, false)
    for (const path of ['/tools/one/save', '/tools/one']) {
      const { headers } = await visitor().fetch(path)
      assert.match(headers.getSetCookie()[0] ?? '', /; Path=\/tools\/one;/)
    }
  })

  it('its own cookie is Secure if Koa considers the connection encrypted', async t => {
    const { app, visitor } = await koaSite(t, Koa, { koaSession: noSession })
    const asked = () => visitor().fetch('/get', { headers: BY_HTTPS })
    assert.deepEqual(secureCookies(await asked()), [false])
    app.proxy = true
    assert.deepEqual(secureCookies(await asked()), [true])
    assert.deepEqual(secureCookies(await visitor().fetch('/get')), [false])
  })

  for (const [name, koaSession] of Object.entries({ 'an external store': inStore, 'the cookie': inCookie })) {
    it(`behind a trusted proxy the first page gets the secure cookie of koa-session, in ${name}`, async t => {
      const { app, gradio, visitor, failures } = await koaSite(t, Koa, {
        koaSession: koaSession({ secure: true }),
      })
      app.proxy = true
      const user = visitor()
      const answer = await user.fetch('/gradio_api/heartbeat/page?n=1', { method: 'POST', headers: BY_HTTPS })
      assert.deepEqual([answer.status, secureCookies(answer)], [200, [true, true, true]])
      assert.equal((await get(user)).id, gradio.sessions()[0]?.id)
      assert.deepEqual(failures, [])
    })

    it(`if the secure cookie can not be set, the first page gets an error, in ${name}`, async t => {
      const { gradio, visitor, failures } = await koaSite(t, Koa, {
        koaSession: koaSession({ secure: true }),
      })
      const answer = await visitor().fetch('/gradio_api/heartbeat/page?n=1', { method: 'POST' })
      assert.equal(answer.status, 500)
      assert.match(failures[0]?.message ?? '', /secure cookie/)
      assert.equal(gradio.stats().pages, 0)
    })
  }
})
