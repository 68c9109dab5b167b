// A server may have other WebSockets: requests that aren't the library's are handled as without it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { type RequestListener, type Server, ServerResponse } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { type AddressInfo, connect } from 'node:net'
import { it, type TestContext } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { gradioState } from '../../lib/index.ts'
import { visitor } from '../../lib/testing/index.ts'
import { forEachExpress, site, until } from '../support/http/express.ts'
import { dial, heartbeat, isHooked } from '../support/pages/handshake.ts'

/** A WebSocket server of the app, which sends its name. */
function chatAt(t: TestContext, server: Server, path = '/chat'): WebSocketServer {
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

/** The server's own methods and classes, and its listeners. */
function properties(server: Server): unknown {
  const names = Reflect.ownKeys(server).filter(name => typeof Reflect.get(server, name) === 'function')
  const listeners = server.eventNames().map(name => [name, server.listenerCount(name)])
  return { listeners, own: new Map(names.map(name => [name, Reflect.get(server, name)])) }
}

forEachExpress((_name, express) => {
  it("a WebSocket server of the app works beside the library's, in either order", async t => {
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
      // The app's server rejects other upgrades, as it does without the library.
      const other = await dial(t, served, 'page', { path: '/other' })
      assert.equal(other.status, 400)
      assert.equal((await dial(t, served, 'page', { ticket: 'guess' })).status, 401)
    }
  })

  it("two WebSocket servers with noServer, and an upgrade handler of the app, work beside the library's", async t => {
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

  it("WebSockets that pass through the app, as those of express-ws, work beside the library's", async t => {
    const chat = new WebSocketServer({ noServer: true })
    t.after(() => chat.close())
    const served = await site(t, express, {
      routes(app) {
        app.get('/chat', (req, res) => {
          const { upgrade } = res.locals as { upgrade?: () => void }
          if (upgrade === undefined) res.send('plain')
          else upgrade()
          assert.equal(typeof req.gradioState, 'object')
        })
      },
    })
    const { app, server, visitor } = served
    server.on('upgrade', (req, socket, head) => {
      const res = new ServerResponse(req)
      const upgrade = () => chat.handleUpgrade(req, socket, head, ws => ws.send('chat'))
      app(req as never, Object.assign(res, { locals: { upgrade } }) as never)
    })
    const user = visitor()
    assert.equal(await chats(t, served.port), 'chat')
    assert.equal((await dial(t, served, 'page', await heartbeat(user, 'page'))).status, 101)
    assert.equal(await chats(t, served.port), 'chat')
    assert.equal(await (await user.fetch('/chat')).text(), 'plain')
  })

  it('close() restores the server', async t => {
    const served = await site(t, express)
    const { server, gradio } = served
    const before = properties(server)
    await heartbeat(served.visitor(), 'page')
    assert.ok(isHooked(server))
    assert.equal(server.listenerCount('upgrade'), 0)
    await gradio.close()
    assert.deepEqual(properties(server), before)
  })

  it('attach() before any request, and a second attach(), attach once', async t => {
    const served = await site(t, express)
    const before = properties(served.server)
    served.gradio.attach(served.server)
    served.gradio.attach(served.server)
    const { ticket } = await heartbeat(served.visitor(), 'page')
    assert.equal((await dial(t, served, 'page', { ticket })).status, 101)
    await served.gradio.close()
    assert.deepEqual(properties(served.server), before)
  })

  it('a server that closes is restored, and can be opened again', async t => {
    const served = await site(t, express)
    const { server } = served
    const before = properties(server)
    await heartbeat(served.visitor(), 'page')
    await new Promise(resolve => {
      server.close(resolve)
      server.closeAllConnections()
    })
    assert.deepEqual(properties(server), before)
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const user = visitor(`http://127.0.0.1:${port}`)
    const again = await heartbeat(user, 'again')
    assert.equal((await dial(t, { port }, 'again', again)).status, 101)
  })

  it("a peer that drops a rejected or another library's upgrade causes no error", async t => {
    const served = await site(t, express, { routes: app => void app.get('/any', (_req, res) => res.end()) })
    await heartbeat(served.visitor(), 'page')
    for (const path of ['/gradio_api/heartbeat/page?n=1&ticket=guess', '/other']) {
      const socket = connect({ port: served.port, host: '127.0.0.1' })
      socket.on('error', () => {})
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
      socket.resetAndDestroy()
    }
    await until(() => served.sockets.size === 0)
    assert.equal((await served.visitor().fetch('/any')).status, 200)
  })
})

it('attach() inside a createServer that was replaced, as tracing tools do, attaches once', async t => {
  const gradio = gradioState({ session: 'cookie' })
  const { createServer } = http
  const made: Server[] = []
  t.mock.method(http, 'createServer', (listener?: RequestListener) => {
    const server = createServer(listener)
    made.push(server)
    gradio.attach(server)
    return server
  })
  syncBuiltinESMExports()
  try {
    const server = http.createServer()
    assert.deepEqual(made, [server])
    assert.ok(isHooked(server))
  } finally {
    t.mock.restoreAll()
    syncBuiltinESMExports()
    await gradio.close()
  }
})
