// What the library's own routes do to the store of express-session: nothing, but for a session's first page.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Express } from 'express'
import type { SessionOptions } from 'express-session'
import { type ExpressModule, forEachExpress, site, until } from '../support/express.ts'
import { RecordingStore } from '../support/stores.ts'

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
  app.post('/logout', (req, res, next) => {
    req.session.destroy(error => (error ? next(error) : res.end()))
  })
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

    it(`no other route of ours makes the store write, with ${text(options)}`, async t => {
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
      ]
      const statuses = answers.map(answer => answer.status)
      assert.deepEqual(statuses, [200, 200, 204, 200, 403, 204, 409, 404, 400])
      const aborting = new AbortController()
      const stream = await user.fetch('/gradio_api/heartbeat/other', { signal: aborting.signal })
      aborting.abort()
      for (const answer of [...answers, stream]) assert.deepEqual(answer.headers.getSetCookie(), [])
      await sleep(10)
      assert.deepEqual(store.writes(), [])
    })
  }

  it('rolling goes on for the routes of the app', async t => {
    const { store, visitor } = await recorded(t, express, { rolling: true })
    const user = visitor()
    await user.fetch('/id')
    await user.openPage()
    store.writes()
    const answer = await user.fetch('/id')
    assert.equal(answer.headers.getSetCookie().length, 1)
    assert.deepEqual(store.writes(), ['touch'])
  })

  it('the first page saves the session before it is answered', async t => {
    const { store, visitor } = await recorded(t, express, {}, 20)
    const user = visitor()
    await user.fetch('/gradio_api/heartbeat/page?n=1', POST)
    assert.equal(Object.keys(await store.stored()).length, 1)
    assert.equal(user.cookies.size, 1)
  })

  it("the session is saved before an event stream's headers are sent", async t => {
    const { gradio, store, visitor } = await recorded(t, express, {}, 20)
    const user = visitor()
    const aborting = new AbortController()
    await user.fetch('/gradio_api/heartbeat/page', { signal: aborting.signal })
    assert.equal(user.cookies.size, 1)
    assert.equal(Object.keys(await store.stored()).length, 1)
    const answer = await user.fetch('/id')
    assert.equal(((await answer.json()) as { id: string }).id, gradio.sessions()[0]?.id)
    assert.equal(gradio.stats().sessions, 1)
    aborting.abort()
    await until(() => gradio.stats().pages === 0)
  })

  for (const how of ['the browser leaves', 'the server ends it'] as const) {
    it(`a logout is not undone by an event stream that was open meanwhile, when ${how}`, async t => {
      const { gradio, store, visitor } = await recorded(t, express, { resave: true })
      const user = visitor()
      await user.fetch('/id')
      const aborting = new AbortController()
      const stream = await user.fetch('/gradio_api/heartbeat/page', { signal: aborting.signal })
      await user.fetch('/logout', POST)
      assert.deepEqual(await store.stored(), {})
      if (how === 'the browser leaves') {
        aborting.abort()
        await until(() => gradio.stats().pages === 0)
      } else {
        await gradio.close()
        await stream.text()
      }
      await sleep(10)
      assert.deepEqual(await store.stored(), {})
    })
  }
})
