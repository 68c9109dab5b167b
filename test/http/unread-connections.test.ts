// Connections that Node.js doesn't read, because too much waits behind a silent response: it can't detect that the peer has left.

import assert from 'node:assert/strict'
import { createServer, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { it } from 'node:test'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { forEachExpress, idle, serve, site, until } from '../support/http/express.ts'
import { bytesOf, pipelined } from '../support/http/pipelined.ts'
import { closeNow } from '../support/sessions/close-now.ts'

forEachExpress((_name, express) => {
  /** One connection: a silent stream, behind it a response of 70 KB, and then a request for which Node.js stops reading. */
  async function attack(t: Parameters<typeof site>[0], last: string, stream: string) {
    const streams: ServerResponse[] = []
    let isLargeSent = false
    const made = await site(t, express, {
      session: false,
      options: { gracePeriod: 60, uploadRoute: true },
      before: [(req, res, next) => (req.url === '/before' ? res.end() : next())],
      routes(app, gradio) {
        app.get('/id', (req, res) => res.send(req.gradioState.id))
        app.get('/stream', (req, res) => {
          streams.push(res)
          void req.gradioState.id
          res.type('text/event-stream').flushHeaders()
        })
        app.get('/tracked', (req, res) => {
          streams.push(res)
          gradio.track(req, res)
          res.type('text/event-stream').flushHeaders()
        })
        app.get('/large', (_req, res) => {
          res.send('x'.repeat(70_000))
          isLargeSent = true
        })
      },
    })
    const { visitor, port, sockets, gradio } = made
    const user = visitor()
    await user.fetch('/id', { headers: { connection: 'close' } })
    await idle(gradio)
    const client = await pipelined(t, port, user, [`GET ${stream}`, 'GET /large'])
    await until(() => isLargeSent)
    const upload = 'Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000'
    client.write(bytesOf(user, [last]).replace('Content-Length: 0', last.startsWith('POST') ? upload : '$&'))
    const isUnread = () => [...sockets].some(socket => socket.isPaused())
    await until(isUnread)
    return { ...made, client, streams, isUnread }
  }

  for (const [name, last, stream] of [
    ['a silent stream', 'GET /id', '/stream'],
    ['a tracked stream', 'GET /id', '/tracked'],
    ['a last request that is answered before the library', 'GET /before', '/stream'],
    ['a last request that is an upload', 'POST /gradio_api/upload', '/stream'],
  ] as const) {
    it(`is closed after two minutes, so that its sessions end, when the peer has left: ${name}`, async t => {
      const { gradio, clock, client, sockets } = await attack(t, last, stream)
      const log: string[] = []
      gradio.unload(({ reason }) => log.push(`unload ${reason}`))
      gradio.ended(({ reason }) => log.push(`ended ${reason}`))
      client.destroy()
      await clock.advance(119)
      assert.deepEqual([gradio.stats().open, log], [1, []])
      await clock.advance(1)
      await until(() => sockets.size === 0)
      await idle(gradio)
      await clock.advance(60)
      assert.deepEqual(log, ['unload disconnected', 'ended disconnected'])
    })
  }

  it('stays open when its client continues reading', async t => {
    const { gradio, clock, visitor, port, sockets } = await site(t, express, {
      session: false,
      before: [(req, _res, next) => (req.url === '/before' ? undefined : next())],
      routes(app) {
        app.get('/id', (req, res) => res.send(req.gradioState.id))
        app.get('/long', (req, res) => {
          void req.gradioState.id
          res.write('x'.repeat(20_000_000))
        })
      },
    })
    const user = visitor()
    await user.fetch('/id', { headers: { connection: 'close' } })
    const client = await pipelined(t, port, user, ['GET /long'])
    await new Promise(resolve => client.once('readable', resolve))
    client.write(bytesOf(user, ['GET /before']))
    const isUnread = () => [...sockets].some(socket => socket.isPaused())
    await until(isUnread)
    await clock.advance(60)
    client.resume()
    await until(() => !isUnread())
    await clock.advance(600)
    assert.deepEqual([sockets.size, gradio.stats().open], [1, 1])
  })

  it('stays open when it is read again in time', async t => {
    const { gradio, clock, client, streams, isUnread } = await attack(t, 'GET /stream', '/stream')
    let received = ''
    client.on('data', data => {
      received += data
    })
    await clock.advance(119)
    streams[0]?.end()
    await until(() => received.includes('x'.repeat(70_000)) && streams.length === 2)
    assert.equal(isUnread(), false)
    await clock.advance(600)
    assert.deepEqual([streams[1]?.destroyed, gradio.stats().open], [false, 1])
  })

  it('a stream with short responses behind it is read, and stays open', async t => {
    const { gradio, clock, visitor, port, sockets } = await site(t, express, {
      session: false,
      routes(app) {
        app.get('/stream', (req, res) => {
          void req.gradioState.id
          res.flushHeaders()
        })
        app.get('/id', (req, res) => res.send(req.gradioState.id))
      },
    })
    const user = visitor()
    await user.fetch('/id', { headers: { connection: 'close' } })
    await idle(gradio)
    const client = await pipelined(t, port, user, ['GET /stream', 'GET /id', 'GET /id'])
    await until(() => gradio.stats().open === 1)
    await clock.advance(600)
    assert.deepEqual([sockets.size, gradio.stats().open], [1, 1])
    client.destroy()
    await idle(gradio)
  })

  it('an upgraded connection that the app has paused stays open', async t => {
    const clock = fakeClock()
    const gradio = gradioState({ clock })
    t.after(() => closeNow(gradio, clock))
    const app = express()
    app.use(gradio)
    const upgraded: Duplex[] = []
    app.get('/id', (req, res) => res.send(req.gradioState.id))
    app.get('/chat', (req, res) => {
      void req.gradioState.id
      upgraded.push(res.socket ?? req.socket)
    })
    const server = createServer(app).on('upgrade', req => app(req, new ServerResponse(req)))
    const { visitor, port } = await serve(t, server)
    const user = visitor()
    await user.fetch('/id')
    const upgrade = bytesOf(user, ['GET /chat']).replace(
      'Content-Length: 0',
      'Connection: Upgrade\r\nUpgrade: own',
    )
    const client = await pipelined(t, port, user, [])
    client.write(upgrade)
    await until(() => upgraded.length === 1)
    upgraded[0]?.pause()
    await clock.advance(600)
    assert.equal(upgraded[0]?.destroyed, false)
  })
})
