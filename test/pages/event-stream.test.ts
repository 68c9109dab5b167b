// The event stream is for clients that aren't ours: a bare EventSource, curl, Gradio's clients.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import compression from 'compression'
import type { RequestHandler } from 'express'
import helmet from 'helmet'
import type { Visitor } from '../../lib/testing/index.ts'
import { forEachExpress, idle, site, until } from '../support/express.ts'
import { goodbye, heartbeat } from '../support/handshake.ts'

/** An open event stream: what has come so far, and a way to leave. */
async function openStream(t: TestContext, user: Visitor, id: string, headers: Record<string, string> = {}) {
  const aborting = new AbortController()
  t.after(() => aborting.abort())
  const answer = await user.fetch(`/gradio_api/heartbeat/${id}`, { signal: aborting.signal, headers })
  const stream = { answer, text: '', isOver: false, abort: () => aborting.abort() }
  const decoder = new TextDecoder()
  const read = async () => {
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) stream.text += decoder.decode(chunk)
    stream.isOver = true
  }
  read().catch(() => {})
  return stream
}

const ALIVE = 'data: ALIVE\n\n'

forEachExpress((_name, express) => {
  it('a line comes at once, and one with each heartbeat', async t => {
    const { clock, visitor } = await site(t, express, { options: { heartbeat: 5 } })
    const stream = await openStream(t, visitor(), 'page')
    await until(() => stream.text === ALIVE)
    for (let lines = 2; lines <= 4; lines++) {
      await clock.advance(4.9)
      assert.equal(stream.text, ALIVE.repeat(lines - 1))
      await clock.advance(0.1)
      await until(() => stream.text === ALIVE.repeat(lines))
    }
  })

  it('its headers keep caches and proxies from holding it back', async t => {
    const { visitor } = await site(t, express)
    const { answer } = await openStream(t, visitor(), 'page')
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-type'), 'text/event-stream')
    assert.equal(answer.headers.get('cache-control'), 'no-cache, no-transform')
    assert.equal(answer.headers.get('x-accel-buffering'), 'no')
    assert.equal(answer.headers.get('content-encoding'), null)
  })

  it('behind compression() and helmet() lines come at once', async t => {
    const { clock, visitor } = await site(t, express, { before: [compression({ threshold: 0 }), helmet()] })
    const user = visitor()
    const stream = await openStream(t, user, 'page', { 'accept-encoding': 'gzip, br' })
    await until(() => stream.text === ALIVE)
    await clock.advance(15)
    await until(() => stream.text === ALIVE.repeat(2))
    assert.equal(user.cookies.size, 1)
    const client = await user.fetch('/gradio_api/client.js', { headers: { 'accept-encoding': 'gzip' } })
    assert.match(await client.text(), /export\s*\{/)
  })

  it('it counts as a page of a session that it makes if need be', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    await openStream(t, user, 'page')
    assert.deepEqual([gradio.stats().pages, gradio.stats().sessions, user.cookies.size], [1, 1, 1])
    await openStream(t, user, 'other')
    assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [2, 1])
  })

  it('its abort is the end of the page, unless it comes back', async t => {
    const { gradio, clock, visitor } = await site(t, express)
    const log: string[] = []
    gradio.unload(() => log.push('unload'))
    const user = visitor()
    const first = await openStream(t, user, 'page')
    first.abort()
    await idle(gradio)
    await clock.advance(3.4)
    const second = await openStream(t, user, 'page')
    await clock.advance(60)
    assert.deepEqual(log, [])
    second.abort()
    await idle(gradio)
    await clock.advance(3.5)
    assert.deepEqual(log, ['unload'])
  })

  it('of two streams of one page, the end of one does nothing', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    const streams = [await openStream(t, user, 'page'), await openStream(t, user, 'page')]
    streams[0]?.abort()
    await until(() => gradio.stats().open === 1)
    assert.equal(gradio.stats().pages, 1)
    streams[1]?.abort()
    await idle(gradio)
  })

  it('all streams of a page hear its heartbeats, and who stays goes on to', async t => {
    let closed = 0
    const count: RequestHandler = (_req, res, next) => {
      res.once('close', () => closed++)
      next()
    }
    const { clock, visitor } = await site(t, express, { options: { heartbeat: 5 }, before: [count] })
    const user = visitor()
    const first = await openStream(t, user, 'page')
    await until(() => first.text === ALIVE)
    await clock.advance(3)
    const second = await openStream(t, user, 'page')
    await until(() => second.text === ALIVE)
    await clock.advance(2)
    await until(() => first.text === ALIVE.repeat(2) && second.text === ALIVE.repeat(2))
    first.abort()
    await until(() => closed === 1)
    await clock.advance(5)
    await until(() => second.text === ALIVE.repeat(3))
  })

  it('a goodbye ends the stream of its page', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    const stream = await openStream(t, user, 'page')
    assert.equal(await goodbye(user, 'page'), 204)
    await until(() => gradio.stats().pages === 0)
    assert.equal((await heartbeat(user, 'page', { n: '0' })).status, 409)
    void stream
  })

  it('the end of the session is told, and the stream ended', async t => {
    const { gradio, visitor } = await site(t, express)
    const user = visitor()
    const stream = await openStream(t, user, 'page')
    await gradio.endSession(gradio.sessions()[0]?.id as string)
    await until(() => stream.isOver)
    assert.equal(stream.text, `${ALIVE}event: close\ndata: ended\n\n`)
    assert.equal(gradio.stats().pages, 0)
  })

  it('who leaves before the stream has begun leaves no page behind', async t => {
    let answer: () => void = () => {}
    const { gradio, clock, visitor } = await site(t, express, {
      before: [
        (req, _res, next) => {
          if (req.url.endsWith('slow')) answer = next
          else next()
        },
      ],
    })
    const aborting = new AbortController()
    const asked = visitor().fetch('/gradio_api/heartbeat/slow', { signal: aborting.signal })
    await new Promise(resolve => setTimeout(resolve, 20))
    aborting.abort()
    await assert.rejects(asked)
    await new Promise(resolve => setTimeout(resolve, 20))
    answer()
    await clock.advance(4)
    await idle(gradio)
    assert.equal(gradio.stats().pages, 0)
  })

  it('a stream that its client left before it began does no harm to the page', async t => {
    let answer: () => void = () => {}
    const { gradio, clock, visitor } = await site(t, express, {
      before: [
        (req, _res, next) => {
          if (req.method === 'GET') answer = next
          else next()
        },
      ],
    })
    const user = visitor()
    const page = await user.openPage()
    const aborting = new AbortController()
    const asked = user.fetch(`/gradio_api/heartbeat/${page.id}`, { signal: aborting.signal })
    await new Promise(resolve => setTimeout(resolve, 20))
    aborting.abort()
    await assert.rejects(asked)
    await new Promise(resolve => setTimeout(resolve, 20))
    answer()
    await clock.advance(10)
    assert.equal(gradio.stats().pages, 1)
  })

  it('a stream that waits for unload hooks is not opened in a session that ends meanwhile', async t => {
    const { gradio, clock, visitor } = await site(t, express)
    const settle: (() => void)[] = []
    gradio.unload(() => new Promise<void>(resolve => settle.push(resolve)))
    const user = visitor()
    const page = await user.openPage()
    const id = gradio.sessions()[0]?.id as string
    await page.close()
    await clock.advance(2)
    const waiting = openStream(t, user, 'other')
    await until(() => gradio.stats().pages === 1)
    const ended = gradio.endSession(id)
    for (const resolve of settle) resolve()
    await ended
    const { answer } = await waiting
    assert.deepEqual([answer.status, gradio.stats().pages], [409, 0])
  })
})
