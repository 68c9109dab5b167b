// koa-session behaves the same with the library as without it, except for the token in a session.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { CreateSessionOptions } from 'koa-session'
import { koa } from '../../lib/http/koa.ts'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { forEachKoa, type KoaModule, koaSite, route, serveKoa, sessionOf, set } from '../support/http/koa.ts'
import { inCookie, inStore, KOA_SESSIONS, type KoaSessionSetup } from '../support/http/koa-sessions.ts'
import { worldClock } from '../support/http/session-app.ts'
import { KoaStore } from '../support/stores/koa-store.ts'

const OPTIONS: Record<string, CreateSessionOptions> = {
  'no options': {},
  rolling: { rolling: true },
  renew: { renew: true, maxAge: 1000 },
  'maxAge: session': { maxAge: 'session' },
  'autoCommit: false': { autoCommit: false },
}

const KINDS: Record<string, (options: CreateSessionOptions, store: KoaStore) => KoaSessionSetup> = {
  'an external store': inStore,
  'the cookie': options => inCookie(options),
}

/** What a browser and a store observe of an app that has sessions and doesn't use the library. */
async function seen(
  t: TestContext,
  Koa: KoaModule,
  kind: (options: CreateSessionOptions, store: KoaStore) => KoaSessionSetup,
  options: CreateSessionOptions,
  isMounted: boolean,
) {
  const store = new KoaStore()
  const clock = worldClock(t)
  const app = new Koa()
  app.keys = ['a key']
  kind({ ...options, genid: () => `id-${store.ids.length}` }, store).use(app)
  if (isMounted) app.use(koa(gradioState({ clock: fakeClock() })))
  app.use(
    route({
      'GET /nothing': ctx => {
        ctx.body = 'nothing'
      },
      'GET /look': ctx => {
        ctx.body = { user: sessionOf(ctx).user }
      },
      'POST /login': ctx => {
        sessionOf(ctx).user = 'ann'
        ctx.status = 204
      },
      'POST /logout': ctx => {
        ctx.session = null
        ctx.status = 204
      },
      'POST /renew': async ctx => {
        await sessionOf(ctx).regenerate()
        ctx.status = 204
      },
    }),
  )
  const user = (await serveKoa(t, app)).visitor()
  const answers = []
  for (const asked of [
    'GET /nothing',
    'GET /look',
    'GET /unknown',
    'POST /login',
    'GET /nothing',
    'GET /look',
    'POST /renew',
    'GET /nothing',
    'POST /logout',
    'GET /nothing',
  ]) {
    const [method, path] = asked.split(' ') as [string, string]
    const { status, headers } = await user.fetch(path, { method })
    answers.push({ asked, status, cookies: headers.getSetCookie(), length: headers.get('content-length') })
    answers.push(store.take())
    await clock.advance(0.6)
  }
  t.mock.restoreAll()
  return answers
}

forEachKoa(Koa => {
  for (const [kindName, kind] of Object.entries(KINDS)) {
    for (const [name, options] of Object.entries(OPTIONS)) {
      it(`cookies and store calls are as without it, in ${kindName}, with ${name}`, async t => {
        const without = await seen(t, Koa, kind, options, false)
        assert.deepEqual(await seen(t, Koa, kind, options, true), without)
      })
    }
  }

  for (const [name, koaSession] of Object.entries(KOA_SESSIONS)) {
    it(`a request that does not use the state leaves no session, with ${name}`, async t => {
      const { gradio, visitor, failures } = await koaSite(t, Koa, { koaSession: koaSession() })
      const user = visitor()
      const { headers } = await user.fetch('/nothing')
      // koa-generic-session is configured to keep empty sessions.
      if (!name.includes('generic')) assert.deepEqual(headers.getSetCookie(), [])
      await user.fetch('/unknown')
      await user.fetch('/gradio_api/client.js')
      await user.fetch('/gradio_api/pagehide/page?n=1', { method: 'POST' })
      assert.deepEqual([gradio.stats().sessions, failures], [0, []])
    })
  }

  it('the token is written at the first use, and not again', async t => {
    const koaSession = inStore()
    const { visitor } = await koaSite(t, Koa, { koaSession })
    const user = visitor()
    await set(user, 'mine')
    assert.deepEqual(koaSession.store.take(), ['set'])
    const stored = koaSession.store.stored(user.cookies.get('koa.sess') as string)
    assert.match(stored ?? '', /"gradioState":\{"token":"[\w-]{22}"\}/)
    await set(user, 'another')
    assert.deepEqual(koaSession.store.take(), ['get'])
  })
})
