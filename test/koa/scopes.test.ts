// Scopes and tabs on Koa: with each kind of session, and what logins and logouts of koa-session do to them.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { Context } from 'koa'
import type { GradioStateOptions } from '../../lib/index.ts'
import { ask, forEachKoa, type KoaModule, koaSite, set } from '../support/http/koa.ts'
import {
  inContextStore,
  inCookie,
  inStore,
  KOA_SESSIONS,
  type KoaSessionSetup,
} from '../support/http/koa-sessions.ts'

const LOGIN_KINDS = {
  'an external store': inStore,
  'a ContextStore': inContextStore,
  'the cookie': inCookie,
}
const TAB = 'tab-0123456789abcdefghi'

/** A user who has a value and a file in a scope, and a value in a tab. */
async function scopedUser(
  t: TestContext,
  Koa: KoaModule,
  koaSession: KoaSessionSetup,
  options?: GradioStateOptions,
) {
  const ended: string[] = []
  const site = await koaSite(t, Koa, {
    koaSession,
    ...(options && { options }),
    routes(gradio) {
      const value = gradio.state<string>('scoped', {
        deleteCallback(value, { session: { key }, reason }) {
          ended.push(`${value} in ${key === 'a' ? key : 'the tab'}: ${reason}`)
        },
      })
      const scopeOf = ({ gradioState, path }: Context) =>
        path === '/tab' ? (gradioState.tab ?? assert.fail('Expected a tab')) : gradioState.scoped('a')
      const tell = (ctx: Context) => {
        const scope = scopeOf(ctx)
        ctx.body = { id: scope.id, value: scope.get(value) }
      }
      const use = (ctx: Context) => {
        scopeOf(ctx).set(value, 'mine')
        tell(ctx)
      }
      return {
        'GET /scope': tell,
        'GET /tab': tell,
        'POST /scope': use,
        'POST /tab': use,
        async 'POST /file'(ctx) {
          ctx.body = (await ctx.gradioState.scoped('a').saveFile('content')).url
        },
      }
    },
  })
  const user = site.visitor()
  const request = async (path: string, method = 'GET') => {
    const answer = await user.fetch(path, { method, headers: { 'Gradio-State-Tab': TAB } })
    return (await answer.json()) as { id: string; value?: string }
  }
  await set(user, 'session')
  const scope = await request('/scope', 'POST')
  const tab = await request('/tab', 'POST')
  const url = (await ask(user, '/file')).text
  return { ...site, ended, user, scope, tab, url, request }
}

forEachKoa(Koa => {
  for (const [kind, koaSession] of Object.entries(KOA_SESSIONS)) {
    it(`each request of a user reaches their scopes and tabs, and no other user does: ${kind}`, async t => {
      const { request, scope, tab, user, url, visitor, failures } = await scopedUser(t, Koa, koaSession())
      assert.notEqual(scope.id, tab.id)
      assert.deepEqual([await request('/scope'), await request('/tab')], [scope, tab])
      assert.equal(await (await user.fetch(url)).text(), 'content')
      const stranger = visitor()
      assert.notEqual((await ask(stranger, '/scope', 'GET')).id, scope.id)
      assert.equal((await stranger.fetch(url)).status, 404)
      assert.deepEqual(failures, [])
    })
  }

  for (const [kind, koaSession] of Object.entries(LOGIN_KINDS)) {
    for (const [path, reason] of [
      ['/login', 'regenerated'],
      ['/logout', 'destroyed'],
    ] as const) {
      it(`${path} ends them, in ${kind}`, async t => {
        const { request, scope, tab, user, url, ended, pass, failures } = await scopedUser(
          t,
          Koa,
          koaSession(),
        )
        await ask(user, path)
        await pass(0)
        assert.deepEqual(ended.toSorted(), [`mine in a: ${reason}`, `mine in the tab: ${reason}`])
        assert.equal((await user.fetch(url)).status, 404)
        for (const [path, before] of [
          ['/scope', scope],
          ['/tab', tab],
        ] as const) {
          const next = await request(path)
          assert.notEqual(next.id, before.id)
          assert.equal(next.value, undefined)
        }
        assert.deepEqual(failures, [])
      })
    }

    it(`a login with onRegenerate: 'keep' keeps them, and a logout ends them, in ${kind}`, async t => {
      const options = { onRegenerate: 'keep' } as const
      const site = await scopedUser(t, Koa, koaSession(), options)
      const { request, scope, tab, user, url, ended, pass, failures } = site
      assert.equal((await ask(user, '/login')).value, 'session')
      await pass(0)
      assert.deepEqual([await request('/scope'), await request('/tab')], [scope, tab])
      assert.equal(await (await user.fetch(url)).text(), 'content')
      assert.deepEqual(ended, [])
      await ask(user, '/logout')
      await pass(0)
      assert.deepEqual(ended.toSorted(), ['mine in a: destroyed', 'mine in the tab: destroyed'])
      assert.deepEqual(failures, [])
    })
  }

  it("a closed scope ends after its grace period, while the session of the library's own cookie continues", async t => {
    const options = { gracePeriod: 60 }
    const { request, scope, user, ended, pass } = await scopedUser(
      t,
      Koa,
      KOA_SESSIONS['no session']!(),
      options,
    )
    await pass(40)
    const { id } = await ask(user, '/get', 'GET')
    await pass(30)
    assert.deepEqual(ended.toSorted(), ['mine in a: disconnected', 'mine in the tab: disconnected'])
    assert.equal((await ask(user, '/get', 'GET')).id, id)
    assert.notEqual((await request('/scope')).id, scope.id)
  })
})
