// The library is a guest at a server that may have WebSockets of its own: what isn't ours goes on as without us.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { it, type TestContext } from 'node:test'
import type { Express } from 'express'
import { WebSocket, WebSocketServer } from 'ws'
import { forEachExpress, serve, site, until } from '../support/express.ts'
import { dial, heartbeat } from '../support/handshake.ts'

/** Sends raw bytes, and gives what is answered. Each answer ends with the word `END`. */
async function exchange(t: TestContext, port: number, { parts, answers = 1, waits }: Offer): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  t.after(() => socket.destroy())
  let text = ''
  socket.setEncoding('latin1').on('data', data => {
    text += data
  })
  const answered = (times: number) => until(() => text.split('END').length > times, `${times} answers`)
  for (const [index, part] of parts.entries()) {
    socket.write(part)
    if (waits) await answered(index + 1)
    else await new Promise(resolve => setTimeout(resolve, 15))
  }
  await answered(answers)
  return text
}

/** What differs from answer to answer. */
const stable = (answer: string) => answer.replace(/^(Date|ETag|Set-Cookie): .*\r\n/gim, '')

const OFFER = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'

interface Offer {
  readonly parts: string[]
  /** How many requests these are. */
  readonly answers?: number
  /** Each part is a request, which is sent when the one before has been answered. */
  readonly waits?: boolean
}

const offers: Record<string, Offer> = {
  'a GET': { parts: [`GET /any?x=1 HTTP/1.1\r\nHost: a\r\n${OFFER}\r\n`] },
  'a GET with its headers in two packets': {
    parts: ['GET /any HTTP/1.1\r\nHost: a\r\n', `${OFFER}\r\n`],
  },
  'a POST with its body': {
    parts: [`POST /any HTTP/1.1\r\nHost: a\r\n${OFFER}Content-Length: 4\r\n\r\nbody`],
  },
  'a POST with its body in later packets': {
    parts: [`POST /any HTTP/1.1\r\nHost: a\r\n${OFFER}Content-Length: 8\r\n\r\nbo`, 'dy', 'body'],
  },
  'a chunked POST': {
    parts: [
      `POST /any HTTP/1.1\r\nHost: a\r\n${OFFER}Transfer-Encoding: chunked\r\n\r\n4\r\nbo`,
      'dy\r\n0\r\n\r\n',
    ],
  },
  'two requests after each other': {
    parts: [
      `GET /one HTTP/1.1\r\nHost: a\r\n${OFFER}\r\n`,
      `GET /two HTTP/1.1\r\nHost: a\r\n${OFFER}\r\n`,
      'GET /three HTTP/1.1\r\nHost: a\r\n\r\n',
    ],
    answers: 3,
    waits: true,
  },
  'a WebSocket for nobody': {
    parts: [
      'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ],
  },
}

function echo(app: Express) {
  app.get('/long', (req, res) => {
    let left = 200
    const write = () => {
      while (left-- > 0) if (!res.write('long'.repeat(16_000))) return void res.once('drain', write)
      res.end(`${req.url}  END`)
    }
    write()
  })
  app.get('/last', (req, res) => {
    setImmediate(() => res.set('Connection', 'close').send(`${req.url}  END`))
  })
  app.use((req, res) => {
    let body = ''
    req.on('data', data => {
      body += data
    })
    req.on('end', () => res.send(`${req.method} ${req.url} ${body} END`))
  })
}

/** A WebSocket server of the app's own, which says what it is. */
function chatAt(t: TestContext, server: import('node:http').Server, path = '/chat'): WebSocketServer {
  const chat = new WebSocketServer({ server, path })
  chat.on('connection', socket => socket.send('chat'))
  t.after(() => {
    for (const socket of chat.clients) socket.terminate()
    chat.close()
  })
  return chat
}

async function chats(t: TestContext, port: number, path = '/chat'): Promise<string> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
  t.after(() => socket.terminate())
  const [data] = await once(socket, 'message')
  return String(data)
}

forEachExpress((_name, express) => {
  it('a WebSocket server of the app works beside ours, whichever came first', async t => {
    for (const order of ['theirs first', 'ours first']) {
      const served = await site(t, express)
      if (order === 'theirs first') chatAt(t, served.server)
      const user = served.visitor()
      const first = await heartbeat(user, 'page')
      if (order === 'ours first') chatAt(t, served.server)
      assert.equal((await dial(t, served, 'page', first)).status, 101)
      assert.equal(await chats(t, served.port), 'chat')
      assert.equal((await dial(t, served, 'page', await heartbeat(user, 'page'))).status, 101)
      assert.equal(await chats(t, served.port), 'chat')
      assert.equal(served.gradio.stats().pages, 1)
      // Theirs refuses what is neither's, as it does without us.
      const other = await dial(t, served, 'page', { path: '/other' })
      assert.equal(other.status, 400)
      assert.equal((await dial(t, served, 'page', { ticket: 'guess' })).status, 401)
    }
  })

  it('two WebSocket servers with noServer, and an upgrade handler of the app, work beside ours', async t => {
    const served = await site(t, express)
    const chat = new WebSocketServer({ noServer: true })
    chat.on('connection', socket => socket.send('chat'))
    t.after(() => chat.close())
    const { ticket } = await heartbeat(served.visitor(), 'page')
    served.server.on('upgrade', (req, socket, head) => {
      if (req.url === '/chat') chat.handleUpgrade(req, socket, head, ws => chat.emit('connection', ws, req))
      else socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    })
    assert.equal(await chats(t, served.port), 'chat')
    assert.equal((await dial(t, served, 'other', { path: '/other' })).status, 404)
    assert.equal((await dial(t, served, 'page', { ticket })).status, 101)
  })

  for (const [name, offer] of Object.entries(offers)) {
    it(`${name}, with an upgrade that nobody takes, is answered as without us`, async t => {
      const plain = express()
      echo(plain)
      const without = await serve(t, plain)
      const served = await site(t, express, { routes: echo })
      await heartbeat(served.visitor(), 'page')
      assert.equal(served.server.listenerCount('upgrade'), 1, 'ours is attached')
      const expected = stable(await exchange(t, without.port, offer))
      assert.match(expected, /^HTTP\/1\.1 200 OK/)
      assert.equal(stable(await exchange(t, served.port, offer)), expected)
    })
  }

  // Node.js itself loses what comes behind such an offer in the same packet (20.20), so there is nothing to compare with.
  for (const order of ['/one /two /three', '/long /two /three']) {
    it(`${order}: requests that didn't wait for each other's answers are answered in their order`, async t => {
      const served = await site(t, express, { routes: echo })
      await heartbeat(served.visitor(), 'page')
      const paths = order.split(' ')
      const requests = paths.map((path, index) => {
        return `GET ${path} HTTP/1.1\r\nHost: a\r\n${index === 0 ? '' : OFFER}\r\n`
      })
      const answers = await exchange(t, served.port, { parts: [requests.join('')], answers: 3 })
      assert.deepEqual(
        [...answers.matchAll(/(\/\w+) {2}END/g)].map(([, path]) => path),
        paths,
      )
      assert.equal(answers.split('HTTP/1.1 200 OK').length, 4)
    })
  }

  it('what comes behind the last answer of a connection is not answered', async t => {
    const served = await site(t, express, { routes: echo })
    await heartbeat(served.visitor(), 'page')
    const socket = connect({ port: served.port, host: '127.0.0.1' })
    t.after(() => socket.destroy())
    let text = ''
    socket.setEncoding('latin1').on('data', data => {
      text += data
    })
    socket.write(`GET /last HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n${OFFER}\r\n`)
    await once(socket, 'close')
    assert.match(text, /\/last {2}END$/)
  })

  it('after close() the server is as it was before', async t => {
    const served = await site(t, express, { routes: echo })
    const { server, gradio } = served
    const before = server.emit
    await heartbeat(served.visitor(), 'page')
    assert.notEqual(server.emit, before)
    await gradio.close()
    assert.equal(server.emit, before)
    assert.equal(server.listenerCount('upgrade'), 0)
  })

  it('attach() before any request, and twice, is once', async t => {
    const served = await site(t, express)
    served.gradio.attach(served.server)
    served.gradio.attach(served.server)
    assert.equal(served.server.listenerCount('upgrade'), 1)
    const { ticket } = await heartbeat(served.visitor(), 'page')
    assert.equal((await dial(t, served, 'page', { ticket })).status, 101)
    assert.equal(served.server.listenerCount('upgrade'), 1)
  })

  it('a peer that drops a refused or replayed upgrade does no harm', async t => {
    const served = await site(t, express, { routes: echo })
    await heartbeat(served.visitor(), 'page')
    for (const path of ['/gradio_api/heartbeat/page?n=1&ticket=guess', '/other']) {
      const socket = connect({ port: served.port, host: '127.0.0.1' })
      socket.on('error', () => {})
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
      socket.resetAndDestroy()
    }
    await new Promise(resolve => setTimeout(resolve, 30))
    assert.equal((await served.visitor().fetch('/any')).status, 200)
  })
})
