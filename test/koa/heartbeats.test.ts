// What the library's own routes do to the sessions of koa-session: nothing, except for a session's first page.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { CreateSessionOptions } from 'koa-session'
import { forEachKoa, get, koaSite, set } from '../support/http/koa.ts'
import { inCookie, inStore, type KoaSessionSetup, viaConnect } from '../support/http/koa-sessions.ts'
import { heartbeat } from '../support/pages/handshake.ts'
import { KoaStore } from '../support/stores/koa-store.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

const POST = { method: 'POST' }

const OPTIONS: Record<string, CreateSessionOptions> = {
  'no options': {},
  rolling: { rolling: true },
  // At the end within the first half of its lifetime.
  renew: { renew: true, maxAge: 60_000 },
  'maxAge: session': { maxAge: 'session' },
}

const KINDS: Record<string, (options: CreateSessionOptions, store: KoaStore) => KoaSessionSetup> = {
  'an external store': inStore,
  'the cookie': options => inCookie(options),
}

forEachKoa(Koa => {
  for (const [kindName, kind] of Object.entries(KINDS)) {
    for (const [name, options] of Object.entries(OPTIONS)) {
      it(`they write no session and set no cookie, in ${kindName}, with ${name}`, async t => {
        const store = new KoaStore()
        const { visitor, clock, settled, failures } = await koaSite(t, Koa, {
          koaSession: kind(options, store),
          options: { uploadRoute: true },
        })
        const user = visitor()
        await set(user, 'mine')
        await settled()
        await clock.advance(40)
        store.take()
        const foreign = { ...POST, headers: { 'sec-fetch-site': 'cross-site' } }
        const form = new FormData()
        form.append('files', new Blob(['a']), 'a.txt')
        const uploaded = await user.fetch('/gradio_api/upload', { ...POST, body: form })
        const [{ url }] = (await uploaded.json()) as [{ url: string }]
        const answers = [
          uploaded,
          await user.fetch(url),
          await user.fetch(url, { headers: { range: 'bytes=0-0' } }),
          await user.fetch(url, { method: 'HEAD' }),
          await user.fetch('/gradio_api/client.js'),
          await user.fetch('/gradio_api/client.js', { method: 'HEAD' }),
          await user.fetch('/gradio_api/heartbeat/page', { method: 'OPTIONS' }),
          await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
          await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
          await user.fetch('/gradio_api/heartbeat/page?n=1', foreign),
          await user.fetch('/gradio_api/pagehide/page?n=1', POST),
          await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
          await user.fetch('/gradio_api/pagehide/unknown?n=1', POST),
          await user.fetch('/gradio_api/heartbeat/no%20id?n=1', POST),
          await user.fetch('/gradio_api/heartbeat/other'),
        ]
        const statuses = answers.map(answer => answer.status)
        assert.deepEqual(statuses, [
          ...[200, 200, 206, 200],
          ...[200, 200, 204],
          ...[200, 200, 403, 204, 409, 404, 400],
          426,
        ])
        for (const { headers } of answers) assert.deepEqual(headers.getSetCookie(), [])
        await settled()
        assert.deepEqual([store.writes(), failures], [[], []])
      })
    }

    it(`rolling still works for the routes of the app, in ${kindName}`, async t => {
      const store = new KoaStore()
      const { visitor } = await koaSite(t, Koa, { koaSession: kind({ rolling: true }, store) })
      const user = visitor()
      await set(user, 'mine')
      await user.openPage()
      store.take()
      const answer = await user.fetch('/get')
      assert.deepEqual(answer.headers.getSetCookie().length, 2)
      assert.deepEqual(store.writes(), kindName.includes('store') ? ['set'] : [])
    })

    for (const keepAlive of [true, false]) {
      it(`the request that keepAlive has a page send renews the cookie as koa-session does, in ${kindName}, with keepAlive: ${keepAlive}`, async t => {
        for (const rolling of [true, false]) {
          const store = new KoaStore()
          const { visitor, failures } = await koaSite(t, Koa, {
            koaSession: kind({ rolling }, store),
            options: { keepAlive },
          })
          const user = visitor()
          await set(user, 'mine')
          await user.openPage({ id: 'page' })
          store.take()
          const renewed = await user.fetch('/gradio_api/heartbeat/page?renew', POST)
          const isRolled = keepAlive && rolling
          assert.deepEqual([renewed.status, renewed.headers.getSetCookie().length], [200, isRolled ? 2 : 0])
          assert.deepEqual(store.writes(), isRolled && kindName.includes('store') ? ['set'] : [])
          assert.equal((await get(user)).value, 'mine')
          const stranger = await visitor().fetch('/gradio_api/heartbeat/page?renew', POST)
          assert.deepEqual([stranger.status, stranger.headers.getSetCookie()], [204, []])
          assert.deepEqual(failures, [])
          t.mock.restoreAll()
        }
      })
    }

    it(`the session of a new user is stored before the first page is answered, in ${kindName}`, async t => {
      const store = new KoaStore()
      const { visitor, gradio, failures, settled } = await koaSite(t, Koa, { koaSession: kind({}, store) })
      const user = visitor()
      assert.equal((await heartbeat(user, 'page')).status, 200)
      assert.deepEqual(store.writes(), kindName.includes('store') ? ['set'] : [])
      // In parallel, as by a page whose connect() has resolved.
      const ids = await Promise.all(
        [get(user), get(user), set(user, 'mine')].map(async reply => (await reply).id),
      )
      assert.deepEqual(ids, Array(3).fill(gradio.sessions()[0]?.id))
      await settled()
      assert.deepEqual(failures, [])
    })
  }

  it('they write no session and set no cookie, with express-session', async t => {
    const store = new RecordingStore()
    const koaSession = viaConnect({ store, rolling: true, resave: true })
    const { visitor, failures, settled } = await koaSite(t, Koa, { koaSession })
    const user = visitor()
    await set(user, 'mine')
    store.writes()
    const answers = [
      await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
      await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
      await user.fetch('/gradio_api/client.js'),
      await user.fetch('/gradio_api/pagehide/page?n=1', POST),
    ]
    for (const { headers } of answers) assert.deepEqual(headers.getSetCookie(), [])
    await settled()
    assert.deepEqual([store.writes(), failures], [[], []])
  })
})
