// Login and logout of koa-session: `regenerate()`, `ctx.session = null`.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Middleware } from 'koa'
import type { GradioStateOptions } from '../../lib/index.ts'
import { ask, forEachKoa, get, type KoaRoutes, koaSite, sessionOf, set } from '../support/http/koa.ts'
import { inContextStore, inCookie, inStore } from '../support/http/koa-sessions.ts'
import { disconnectionOf } from '../support/http/session-app.ts'
import { deferred } from '../support/sessions/harness.ts'

const KINDS = { 'an external store': inStore, 'a ContextStore': inContextStore, 'the cookie': inCookie }
const KEEP: GradioStateOptions = { onRegenerate: 'keep' }

/** As Passport has it. */
const logIn =
  (name: string): Middleware =>
  async ctx => {
    await sessionOf(ctx).regenerate()
    sessionOf(ctx).passport = { user: name }
    ctx.body = { id: ctx.gradioState.id }
  }

const routes: KoaRoutes = {
  'POST /ann': logIn('ann'),
  'POST /ben': logIn('ben'),
  'POST /login-only': async ctx => {
    await sessionOf(ctx).regenerate()
    ctx.body = {}
  },
}

forEachKoa(Koa => {
  for (const [name, koaSession] of Object.entries(KINDS)) {
    it(`a logout ends the session, and the next request starts another one, in ${name}`, async t => {
      const { gradio, visitor, log, failures } = await koaSite(t, Koa, { koaSession: koaSession() })
      const user = visitor()
      const { id } = await set(user, 'mine')
      const page = await user.openPage()
      await ask(user, '/logout')
      assert.equal(user.cookies.size, 0)
      assert.deepEqual(await disconnectionOf(page), { code: 4000, reason: 'destroyed' })
      assert.deepEqual(log, ['unload destroyed @0', 'delete destroyed @0', 'ended destroyed @0'])
      const next = await get(user)
      assert.notEqual(next.id, id)
      assert.deepEqual([next.value, gradio.stats().sessions, failures], [undefined, 1, []])
    })

    it(`the cookie from before a logout finds nothing, in ${name}`, async t => {
      const { visitor } = await koaSite(t, Koa, { koaSession: koaSession() })
      const [user, thief] = [visitor(), visitor()]
      const { id } = await set(user, 'mine')
      for (const [cookie, value] of user.cookies) thief.cookies.set(cookie, value)
      await ask(user, '/logout')
      const stolen = await get(thief)
      assert.notEqual(stolen.id, id)
      assert.equal(stolen.value, undefined)
    })

    it(`a logout of a user who never used the library has no effect, in ${name}`, async t => {
      const { gradio, visitor, log, failures } = await koaSite(t, Koa, { koaSession: koaSession() })
      assert.equal((await ask(visitor(), '/logout')).status, 200)
      assert.deepEqual([gradio.stats().sessions, log, failures], [0, [], []])
    })

    it(`regenerate() ends the session, and the same request has the next one, in ${name}`, async t => {
      const { gradio, visitor, log, failures } = await koaSite(t, Koa, { koaSession: koaSession() })
      const user = visitor()
      const { id } = await set(user, 'mine')
      const before = new Map(user.cookies)
      const page = await user.openPage()
      const { id: next, value } = await ask(user, '/login')
      assert.notEqual(next, id)
      assert.equal(value, undefined)
      assert.notDeepEqual(user.cookies, before)
      assert.deepEqual(await disconnectionOf(page), { code: 4000, reason: 'regenerated' })
      assert.deepEqual(log, ['unload regenerated @0', 'delete regenerated @0', 'ended regenerated @0'])
      assert.equal((await get(user)).id, next)
      assert.deepEqual([gradio.stats().sessions, failures], [1, []])
    })

    it(`regenerate() ends the session even if its request does not use the next one, in ${name}`, async t => {
      const { gradio, visitor, log } = await koaSite(t, Koa, { koaSession: koaSession(), routes })
      const user = visitor()
      const { id } = await set(user, 'mine')
      await ask(user, '/login-only')
      assert.deepEqual([gradio.stats().sessions, log.at(-1)], [0, 'ended regenerated @0'])
      const next = await get(user)
      assert.notEqual(next.id, id)
      assert.equal((await get(user)).id, next.id)
    })

    it(`with 'keep', regenerate() keeps the session, in ${name}`, async t => {
      const { gradio, visitor, log, failures, pass } = await koaSite(t, Koa, {
        koaSession: koaSession(),
        options: KEEP,
      })
      const user = visitor()
      const { id } = await set(user, 'mine')
      const page = await user.openPage()
      const during = await ask(user, '/login')
      assert.deepEqual([during.id, during.value], [id, 'mine'])
      const after = await get(user)
      assert.deepEqual([after.id, after.value], [id, 'mine'])
      await pass(100)
      assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [1, 1])
      assert.equal(await page.close(), 204)
      assert.deepEqual([log, failures], [[], []])
    })

    const settings = name === 'the cookie' ? [{}] : [{}, KEEP]
    for (const options of settings) {
      it(`the cookie from before a login finds nothing, in ${name}, with ${JSON.stringify(options)}`, async t => {
        const { visitor } = await koaSite(t, Koa, { koaSession: koaSession(), options })
        const [user, thief] = [visitor(), visitor()]
        await set(user, 'mine')
        for (const [cookie, value] of user.cookies) thief.cookies.set(cookie, value)
        const { id } = await ask(user, '/login')
        await set(user, 'secret')
        const stolen = await get(thief)
        assert.notEqual(stolen.id, id)
        assert.equal(stolen.value, undefined)
        assert.equal((await get(user)).value, 'secret')
      })
    }

    it(`with 'keep', a logout still ends the session, in ${name}`, async t => {
      const { visitor, log } = await koaSite(t, Koa, { koaSession: koaSession(), options: KEEP })
      const user = visitor()
      const { id } = await set(user, 'mine')
      await ask(user, '/login')
      await ask(user, '/logout')
      assert.equal(log.at(-1), 'ended destroyed @0')
      assert.notEqual((await get(user)).id, id)
    })

    it(`with 'keep', a login over another user gets nothing of that user, in ${name}`, async t => {
      const { visitor, log } = await koaSite(t, Koa, { koaSession: koaSession(), options: KEEP, routes })
      const user = visitor()
      const { id } = await set(user, 'mine')
      assert.equal((await ask(user, '/ann')).id, id)
      assert.equal((await get(user)).value, 'mine')
      const { id: next } = await ask(user, '/ben')
      assert.notEqual(next, id)
      assert.equal((await get(user)).value, undefined)
      assert.equal(log.at(-1), 'ended regenerated @0')
    })

    it(`a request in flight loses its session at a logout, in ${name}`, async t => {
      const [arrived, goOn] = [deferred(), deferred()]
      const { visitor, settled } = await koaSite(t, Koa, {
        koaSession: koaSession(),
        routes: (_gradio, held) => ({
          'GET /slow': async ctx => {
            const { signal } = ctx.gradioState
            assert.equal(ctx.gradioState.get(held), 'mine')
            arrived.resolve()
            await goOn.promise
            assert.ok(signal.aborted)
            ctx.body = ctx.gradioState.get(held)
          },
        }),
      })
      const user = visitor()
      await set(user, 'mine')
      const slow = ask(user, '/slow', 'GET')
      await arrived.promise
      await ask(user, '/logout')
      goOn.resolve()
      const { status, text } = await slow
      assert.equal(status, 410)
      assert.match(text, /^Expected /)
      await settled()
    })
  }

  it('a request from before a logout starts nothing with the ended session', async t => {
    const [arrived, goOn] = [deferred(), deferred()]
    const koaSession = inStore()
    const { gradio, visitor, failures, settled } = await koaSite(t, Koa, {
      koaSession,
      routes: {
        'POST /greet': ctx => {
          sessionOf(ctx).user = 'ann'
          ctx.body = {}
        },
        'GET /slow': async ctx => {
          arrived.resolve()
          await goOn.promise
          ctx.body = ctx.gradioState.id
        },
      },
    })
    const user = visitor()
    await set(visitor(), 'theirs')
    await ask(user, '/greet')
    const slow = ask(user, '/slow', 'GET')
    await arrived.promise
    await ask(user, '/logout')
    goOn.resolve()
    assert.equal((await slow).status, 410)
    await settled()
    assert.deepEqual([koaSession.store.ids.length, gradio.stats().sessions, failures.length], [1, 1, 1])
    assert.equal(user.cookies.size, 0)
  })

  it('a request that has started a session meanwhile does not undo a logout', async t => {
    const [arrived, goOn] = [deferred(), deferred()]
    const koaSession = inStore()
    const { visitor, log, failures, settled } = await koaSite(t, Koa, {
      koaSession,
      routes: {
        'POST /greet': ctx => {
          sessionOf(ctx).user = 'ann'
          ctx.body = {}
        },
        'GET /slow': async ctx => {
          ctx.body = ctx.gradioState.id
          arrived.resolve()
          await goOn.promise
        },
      },
    })
    const user = visitor()
    await ask(user, '/greet')
    const slow = ask(user, '/slow', 'GET')
    await arrived.promise
    await ask(user, '/logout')
    goOn.resolve()
    assert.equal((await slow).status, 200)
    await settled()
    assert.deepEqual([koaSession.store.ids, user.cookies.size, failures], [[], 0, []])
    assert.deepEqual(log, ['unload destroyed @0', 'ended destroyed @0'])
  })
})
