import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachExpress, idle, json, site, until } from '../support/http/express.ts'
import { goodbye, heartbeat } from '../support/pages/handshake.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

const POST = { method: 'POST' }

forEachExpress((_name, express) => {
  it('POST heartbeat opens a page and returns a ticket', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    const answer = await user.fetch('/gradio_api/heartbeat/page?n=1', POST)
    assert.equal(answer.headers.get('content-type'), 'application/json')
    assert.equal(answer.headers.get('cache-control'), 'no-store')
    assert.match(((await answer.json()) as { ticket: string }).ticket, /^[\w-]{100,500}$/)
    assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [1, 1])
    assert.deepEqual([...user.cookies.keys()], ['gradio_state_page', 'connect.sid'])
  })

  it('POST pagehide closes it, without a body', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    await heartbeat(user, 'page')
    const answer = await user.fetch('/gradio_api/pagehide/page?n=1', POST)
    assert.deepEqual([answer.status, await answer.text()], [204, ''])
    assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [0, 1])
    await idle(gradio)
  })

  it('a goodbye may have a body, as a beacon can', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    await heartbeat(user, 'page')
    const answer = await user.fetch('/gradio_api/pagehide/page?n=1', { ...POST, body: 'x'.repeat(100_000) })
    assert.equal(answer.status, 204)
    assert.equal(gradio.stats().pages, 0)
  })

  it('GET client.js serves the module, and 304 when it is current', async t => {
    const { visitor } = await site(t, express)
    const user = visitor()
    const answer = await user.fetch('/gradio_api/client.js?any')
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-type') ?? '', /^text\/javascript/)
    assert.equal(answer.headers.get('cache-control'), 'no-cache')
    assert.match(await answer.text(), /export\s*\{/)
    const etag = answer.headers.get('etag') as string
    const head = await user.fetch('/gradio_api/client.js', { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers.get('etag'), await head.text()], [200, etag, ''])
    for (const tags of [etag, `W/${etag}`, `"other", ${etag}`]) {
      const headers = { 'if-none-match': tags }
      const current = await user.fetch('/gradio_api/client.js', { headers })
      assert.deepEqual([current.status, current.headers.get('etag'), await current.text()], [304, etag, ''])
    }
    const other = await user.fetch('/gradio_api/client.js', { headers: { 'if-none-match': '"other"' } })
    assert.equal(other.status, 200)
  })

  it('other paths are passed to the app', async t => {
    const { visitor } = await site(t, express, {
      routes: app => {
        app.use((req, res) => res.status(418).send(`${req.method} ${req.url}`))
      },
    })
    const requests: [string, string][] = [
      ['GET', '/gradio_api'],
      ['GET', '/gradio_api/'],
      ['GET', '/gradio_apis/client.js'],
      ['GET', '/other/gradio_api/client.js'],
      ['POST', '/gradio_api/client.js'],
      ['GET', '/gradio_api/unknown'],
      ['GET', '/gradio_api/pagehide/page'],
      ['PUT', '/gradio_api/heartbeat/page'],
      ['DELETE', '/gradio_api/pagehide/page'],
      ['POST', '/gradio_api/heartbeat'],
      ['POST', '/gradio_api/heartbeat/page/more'],
      ['GET', '/gradio_api/config'],
    ]
    for (const [method, path] of requests) {
      const answer = await visitor().fetch(path, { method })
      assert.deepEqual([answer.status, await answer.text()], [418, `${method} ${path}`])
    }
  })

  it('an error is sent as JSON, with its code and status', async t => {
    const { visitor } = await site(t, express)
    const user = visitor()
    const ids = ['no%20id', 'a.b', 'x'.repeat(65), '', '%00']
    for (const id of ids) {
      const { status, code } = await heartbeat(user, id)
      assert.deepEqual([status, code], [400, 'PAGE_ID_INVALID'])
    }
    assert.equal(user.cookies.size, 0)
    await heartbeat(user, 'x'.repeat(64))
    const unknown = await json<{ error: { code: string; message: string } }>(
      user.fetch('/gradio_api/pagehide/unknown?n=1', POST),
    )
    assert.deepEqual([unknown.status, unknown.body.error.code], [404, 'PAGE_UNKNOWN'])
    assert.match(unknown.body.error.message, /^Expected a page of this session, got "unknown"\.$/)
  })

  it('an epoch that is not a number is ignored', async t => {
    const { visitor } = await site(t, express)
    for (const n of ['', '-1', '1.5', 'x', '99999999999']) {
      const user = visitor()
      assert.equal((await heartbeat(user, 'page', { n })).status, 200)
      assert.equal((await heartbeat(user, 'page', { n: '1' })).status, 200)
    }
  })

  it('an error of the session store is passed to the app, and keeps no session open', async t => {
    const store = new RecordingStore()
    const { gradio, visitor } = await site(t, express, {
      session: { store },
      routes: app => {
        app.use(
          (
            error: Error,
            _req: unknown,
            res: { status(n: number): { json(body: object): void } },
            _next: unknown,
          ) => {
            res.status(502).json({ error: { code: error.message } })
          },
        )
      },
    })
    const { set } = store
    store.set = (_id, _data, done) => done?.(new Error('the store is full'))
    const user = visitor()
    const { status, code } = await heartbeat(user, 'page')
    assert.deepEqual([status, code], [502, 'the store is full'])
    assert.equal(gradio.stats().pages, 0)
    store.set = set
    assert.equal((await heartbeat(user, 'page')).status, 200)
    assert.equal(gradio.stats().pages, 1)
    assert.equal(await goodbye(user, 'page'), 204)
    await idle(gradio)
  })

  it('while the session store hangs, a page that stopped waiting keeps no session open', async t => {
    const store = new RecordingStore()
    const { gradio, clock, visitor } = await site(t, express, { session: { store } })
    const { set } = store
    const saved: (() => void)[] = []
    store.set = (id, data, done) => {
      saved.push(() => set.call(store, id, data, done))
    }
    const user = visitor()
    const aborting = new AbortController()
    const asked = user.fetch('/gradio_api/heartbeat/page?n=1', { ...POST, signal: aborting.signal })
    await until(() => gradio.stats().pages === 1)
    aborting.abort()
    await assert.rejects(asked)
    await idle(gradio)
    for (const save of saved) save()
    await clock.advance(1)
    assert.equal(gradio.stats().pages, 0)
    store.set = set
    assert.equal((await heartbeat(user, 'page')).status, 200)
    assert.equal(gradio.stats().pages, 1)
  })

  it('the URL of a socket responds with 426 without an upgrade, as after a proxy that removes it, and opens no page', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    for (const query of ['', '?n=1', '?n=1&ticket=guess']) {
      const answer = await user.fetch(`/gradio_api/heartbeat/page${query}`)
      assert.deepEqual([answer.status, answer.headers.get('upgrade')], [426, 'websocket'])
    }
    assert.deepEqual([gradio.stats().sessions, user.cookies.size], [0, 0])
    const { ticket } = await heartbeat(user, 'page')
    const answer = await user.fetch(`/gradio_api/heartbeat/page?n=1&ticket=${ticket}`)
    assert.deepEqual([answer.status, answer.headers.get('upgrade')], [426, 'websocket'])
    assert.equal(gradio.stats().pages, 1)
  })
})
