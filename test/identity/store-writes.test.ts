// What the library's own routes do to the store of express-session: nothing, except for a session's first page.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Express } from 'express'
import type { SessionOptions } from 'express-session'
import { type ExpressModule, forEachExpress, site } from '../support/http/express.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

const POST = { method: 'POST' }

const OPTIONS: Partial<SessionOptions>[] = [
  {},
  { rolling: true },
  { resave: true },
  { rolling: true, resave: true, saveUninitialized: true },
  { unset: 'destroy' },
  { cookie: { maxAge: 60_000 } },
]

const text = (options: Partial<SessionOptions>) => JSON.stringify(options)

function routes(app: Express) {
  app.get('/id', (req, res) => res.json({ id: req.gradioState.id }))
}

async function recorded(t: TestContext, express: ExpressModule, options: Partial<SessionOptions>, delay = 0) {
  const store = new RecordingStore(delay)
  const made = await site(t, express, { session: { ...options, store }, routes })
  return { ...made, store }
}

forEachExpress((_name, express) => {
  for (const options of OPTIONS) {
    it(`ten heartbeats make no touch, no set and no Set-Cookie, with ${text(options)}`, async t => {
      const { store, visitor } = await recorded(t, express, options)
      const user = visitor()
      await user.fetch('/id')
      store.writes()
      for (let beats = 0; beats < 10; beats++) {
        const answer = await user.fetch('/gradio_api/heartbeat/page?n=1', POST)
        assert.equal(answer.status, 200)
        assert.deepEqual(answer.headers.getSetCookie(), [])
      }
      await sleep(10)
      assert.deepEqual(store.writes(), [])
    })

    it(`no other route of the library makes the store write, with ${text(options)}`, async t => {
      const { store, visitor } = await recorded(t, express, options)
      const user = visitor()
      await user.fetch('/id')
      store.writes()
      const foreign = { ...POST, headers: { 'sec-fetch-site': 'cross-site' } }
      const answers = [
        await user.fetch('/gradio_api/client.js'),
        await user.fetch('/gradio_api/client.js', { method: 'HEAD' }),
        await user.fetch('/gradio_api/heartbeat/page', { method: 'OPTIONS' }),
        await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
        await user.fetch('/gradio_api/heartbeat/page?n=1', foreign),
        await user.fetch('/gradio_api/pagehide/page?n=1', POST),
        await user.fetch('/gradio_api/heartbeat/page?n=1', POST),
        await user.fetch('/gradio_api/pagehide/unknown?n=1', POST),
        await user.fetch('/gradio_api/heartbeat/no%20id?n=1', POST),
        await user.fetch('/gradio_api/heartbeat/page'),
      ]
      const statuses = answers.map(answer => answer.status)
      assert.deepEqual(statuses, [200, 200, 204, 200, 403, 204, 409, 404, 400, 426])
      for (const answer of answers) assert.deepEqual(answer.headers.getSetCookie(), [])
      await sleep(10)
      assert.deepEqual(store.writes(), [])
    })
  }

  it('rolling still works for the routes of the app', async t => {
    const { store, visitor } = await recorded(t, express, { rolling: true })
    const user = visitor()
    await user.fetch('/id')
    await user.openPage()
    store.writes()
    const answer = await user.fetch('/id')
    assert.equal(answer.headers.getSetCookie().length, 1)
    assert.deepEqual(store.writes(), ['touch'])
  })

  it('the first page saves the session before the response', async t => {
    const { store, visitor } = await recorded(t, express, {}, 20)
    const user = visitor()
    await user.fetch('/gradio_api/heartbeat/page?n=1', POST)
    assert.equal(Object.keys(await store.stored()).length, 1)
    assert.ok(user.cookies.has('connect.sid'))
  })
})
