// Framework sessions of koa-session in an external store that expire, are destroyed by other processes, or can't be queried.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { CreateSessionOptions } from 'koa-session'
import type { GradioStateOptions } from '../../lib/index.ts'
import { forEachKoa, get, type KoaModule, koaSite, sessionOf, set } from '../support/http/koa.ts'
import { inStore, noSession } from '../support/http/koa-sessions.ts'
import { disconnectionOf, GRACE, LIFETIME } from '../support/http/session-app.ts'
import { warningsIn } from '../support/warnings.ts'

interface Setting {
  options?: GradioStateOptions
  session?: CreateSessionOptions
}

async function app(t: TestContext, Koa: KoaModule, { options = {}, session }: Setting = {}) {
  const koaSession = inStore({ maxAge: LIFETIME * 1000, ...session })
  const made = await koaSite(t, Koa, {
    koaSession,
    options,
    routes: {
      'POST /lives-on': ctx => {
        sessionOf(ctx).maxAge = 10 * LIFETIME * 1000
        ctx.body = {}
      },
      'POST /count': ctx => {
        sessionOf(ctx).count = Number(sessionOf(ctx).count ?? 0) + 1
        ctx.body = {}
      },
    },
  })
  return { ...made, store: koaSession.store }
}

const POST = { method: 'POST' }

forEachKoa(Koa => {
  it('an expiry is detected without any traffic: unload at once, end after the grace period', async t => {
    const { gradio, visitor, log, pass, store } = await app(t, Koa)
    const user = visitor()
    const { id } = await set(user, 'mine')
    const page = await user.openPage()
    store.take()
    await pass(LIFETIME - 1)
    assert.deepEqual([gradio.session(id!)?.pages, store.take()], [1, []])
    await pass(2)
    assert.deepEqual(await disconnectionOf(page), { code: 4000, reason: 'expired' })
    assert.deepEqual(store.take(), ['get'])
    assert.deepEqual(log, ['unload expired @60.05'])
    await pass(GRACE - 2)
    assert.equal(log.length, 1)
    await pass(1)
    assert.deepEqual(log.slice(1), ['delete expired @3660', 'ended expired @3660'])
  })

  it('its page connects again in a new session', async t => {
    const { gradio, visitor, pass } = await app(t, Koa)
    const user = visitor()
    const { id } = await set(user, 'mine')
    const page = await user.openPage()
    await pass(LIFETIME + 1)
    await disconnectionOf(page)
    const back = await user.openPage({ id: page.id })
    const now = await get(user)
    assert.notEqual(now.id, id)
    assert.equal(now.value, undefined)
    assert.equal(gradio.session(now.id!)?.pages, 1)
    await back.close()
  })

  it('a session that koa-session keeps ten seconds longer has expired anyway', async t => {
    const { log, visitor, pass, store } = await app(t, Koa)
    await set(visitor(), 'mine')
    await pass(LIFETIME + 1)
    assert.equal(store.ids.length, 1)
    assert.deepEqual(log, ['unload disconnected @2'])
    await pass(GRACE - 1)
    assert.equal(log.at(-1), 'ended expired @3660')
  })

  for (const session of [{ rolling: true }, { renew: true }] as CreateSessionOptions[]) {
    it(`requests extend it, pages don't, with ${JSON.stringify(session)}`, async t => {
      const { visitor, log, pass, store } = await app(t, Koa, { session })
      const user = visitor()
      await set(user, 'mine')
      const page = await user.openPage()
      for (let times = 0; times < 3; times++) {
        await pass(50)
        store.take()
        await user.fetch('/nothing')
        assert.deepEqual(store.take(), ['get', 'set'], 'calls of koa-session alone')
      }
      await page.beat()
      await pass(LIFETIME - 1)
      assert.deepEqual([store.writes(), log], [[], []])
      await pass(2)
      assert.deepEqual(log, ['unload expired @210.05'])
    })
  }

  it('a change of its content extends it, and so does another maxAge', async t => {
    const { visitor, log, pass } = await app(t, Koa)
    const user = visitor()
    await set(user, 'mine')
    await user.openPage()
    await pass(50)
    await user.fetch('/count', POST)
    await pass(50)
    await user.fetch('/lives-on', POST)
    await pass(10 * LIFETIME - 1)
    assert.deepEqual(log, [])
    await pass(2)
    assert.deepEqual(log, ['unload expired @700.05'])
  })

  it('a session that lasts as long as the browser is queried now and then, and never expires', async t => {
    const { visitor, log, pass, store } = await app(t, Koa, { session: { maxAge: 'session' } })
    const user = visitor()
    await set(user, 'mine')
    await user.openPage()
    await pass(2 * GRACE)
    assert.deepEqual(log, [])
    const asked = store.take().filter(name => name === 'get').length
    assert.ok(asked > 10 && asked < 40, `${asked} times`)
  })

  it('a session that another process destroys is detected by a query', async t => {
    const { visitor, log, pass, store } = await app(t, Koa, { session: { maxAge: 86_400_000 } })
    const user = visitor()
    await set(user, 'mine')
    const page = await user.openPage()
    store.lose(user.cookies.get('koa.sess') as string)
    await pass(400)
    assert.deepEqual((await disconnectionOf(page)).reason, 'expired')
    assert.match(log[0] ?? '', /^unload expired @\d+/)
    await pass(GRACE)
    assert.match(log.at(-1) ?? '', /^ended expired @\d+/)
  })

  it('a session that the app destroys in its store ends at once', async t => {
    const { visitor, log, store } = await app(t, Koa)
    const user = visitor()
    const { id } = await set(user, 'mine')
    const page = await user.openPage()
    await store.destroy(user.cookies.get('koa.sess') as string)
    assert.deepEqual(await disconnectionOf(page), { code: 4000, reason: 'destroyed' })
    assert.deepEqual(log, ['unload destroyed @0', 'delete destroyed @0', 'ended destroyed @0'])
    assert.notEqual((await get(user)).id, id)
  })

  it('nothing is deleted while the store fails, and the failure is reported once', async t => {
    const { gradio, visitor, log, pass, store, reports } = await app(t, Koa)
    const user = visitor()
    const { id } = await set(user, 'mine')
    const page = await user.openPage()
    store.trouble = () => new Error('away')
    await pass(1000)
    assert.deepEqual([gradio.session(id!)?.pages, log], [1, []])
    assert.deepEqual(
      reports.map(error => (error as Error).message),
      ['away'],
    )
    assert.equal((await user.fetch('/get')).status, 500)
    store.trouble = () => undefined
    await pass(60)
    assert.deepEqual((await disconnectionOf(page)).reason, 'expired')
    assert.equal(log.length, 1)
  })

  it('a store that fails at the first request makes the request fail, and causes no second identity', async t => {
    const warnings = warningsIn(t)
    const koaSession = inStore()
    const before = (await koaSite(t, Koa, { koaSession })).visitor()
    await set(before, 'before the restart')
    const { gradio, visitor } = await koaSite(t, Koa, { koaSession })
    const user = visitor()
    for (const [name, value] of before.cookies) user.cookies.set(name, value)
    koaSession.store.trouble = () => new Error('away')
    assert.equal((await user.fetch('/get')).status, 500)
    assert.equal(gradio.stats().sessions, 0)
    koaSession.store.trouble = () => undefined
    assert.equal((await set(user, 'mine')).status, 200)
    assert.deepEqual([[...user.cookies.keys()].sort(), warnings], [koaSession.cookies, []])
  })

  it("with session: 'framework', a use without a framework session is rejected", async t => {
    const { gradio, visitor } = await koaSite(t, Koa, {
      koaSession: noSession,
      options: { session: 'framework' },
    })
    const user = visitor()
    assert.equal((await get(user)).status, 503)
    assert.equal((await user.fetch('/nothing')).status, 200)
    assert.deepEqual([user.cookies.size, gradio.stats().sessions], [0, 0])
  })

  it('a destroy that fails ends nothing', async t => {
    const { visitor, log, store, failures } = await app(t, Koa)
    const user = visitor()
    const { id } = await set(user, 'mine')
    store.trouble = method => (method === 'destroy' ? new Error('away') : undefined)
    assert.equal((await user.fetch('/logout', POST)).status, 500)
    assert.deepEqual([log, failures.map(error => error.message)], [[], ['away']])
    store.trouble = () => undefined
    const after = await get(user)
    assert.deepEqual([after.id, after.value], [id, 'mine'])
  })

  it('with keepAlive it lives as long as a page is open', async t => {
    const { visitor, log, pass, store } = await app(t, Koa, { options: { keepAlive: true } })
    const user = visitor()
    const { id } = await set(user, 'mine')
    const page = await user.openPage()
    await pass(10 * LIFETIME)
    assert.deepEqual(log, [])
    assert.ok(store.writes().length < 40)
    assert.equal((await get(user)).id, id)
    await page.close()
    await pass(LIFETIME + 10)
    assert.match(log.join(), /^unload disconnected @\d+$/)
    assert.notEqual((await get(user)).id, id)
  })

  it('with keepAlive a session that was destroyed by another process is not recreated', async t => {
    const { visitor, pass, store } = await app(t, Koa, { options: { keepAlive: true } })
    const user = visitor()
    await set(user, 'mine')
    const page = await user.openPage()
    store.lose(user.cookies.get('koa.sess') as string)
    await pass(LIFETIME)
    assert.deepEqual((await disconnectionOf(page)).reason, 'expired')
    assert.deepEqual(store.ids, [])
  })
})
