// Which objects `track()` accepts as sockets, and how it detects that they have closed: each row with the real library.

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { createServer, get, IncomingMessage, type ServerResponse } from 'node:http'
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type ServerHttp2Stream,
} from 'node:http2'
import { connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { PassThrough } from 'node:stream'
import { it, type TestContext } from 'node:test'
import { createSession } from 'better-sse'
import light from 'light-my-request'
import { Server as SocketIo } from 'socket.io'
import { io } from 'socket.io-client'
import sockjs, { type Connection } from 'sockjs'
import { type WebSocket, WebSocketServer, WebSocket as WsClient } from 'ws'
import type { Closable } from '../../lib/index.ts'
import { until } from '../support/http/express.ts'
import { isAbout } from '../support/option-error.ts'
import { deferred, harness } from '../support/sessions/harness.ts'

/** A socket on the server, and how its user leaves. */
interface Open {
  readonly socket: Closable
  leave(): void
}

async function portOf(t: TestContext, server: TcpServer): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as { port: number }).port
}

async function socketIo(t: TestContext, transport: 'polling' | 'websocket') {
  const server = new SocketIo()
  const http = createServer()
  server.attach(http)
  const port = await portOf(t, http)
  const client = io(`http://127.0.0.1:${port}`, { transports: [transport], reconnection: false })
  t.after(() => server.close())
  const [socket] = await once(server as unknown as EventEmitter, 'connection')
  return { socket, leave: () => client.disconnect() }
}

/** The connection of a SockJS server, whose path is `/chat`. */
async function sockJs(t: TestContext): Promise<{ port: number; socket: Promise<Connection> }> {
  const server = sockjs.createServer({ prefix: '/chat', disconnect_delay: 1, log: () => {} })
  const http = createServer()
  server.installHandlers(http)
  const socket = once(server, 'connection').then(([connection]) => connection as Connection)
  return { port: await portOf(t, http), socket }
}

async function webSocket(t: TestContext): Promise<{ socket: WebSocket; client: WebSocket }> {
  const http = createServer()
  const server = new WebSocketServer({ server: http })
  const port = await portOf(t, http)
  const client = new WsClient(`ws://127.0.0.1:${port}`)
  t.after(() => client.terminate())
  const [socket] = await once(server, 'connection')
  await once(client, 'open')
  return { socket, client }
}

const ROWS: Record<string, (t: TestContext) => Open | Promise<Open>> = {
  'a WebSocket of ws': async t => {
    const { socket, client } = await webSocket(t)
    return { socket, leave: () => client.close() }
  },
  "a WebSocket by the standard's interface alone": async t => {
    const { socket, client } = await webSocket(t)
    const standard = {
      get readyState() {
        return socket.readyState
      },
      send: (text: string) => socket.send(text),
      close: () => socket.close(),
      addEventListener: socket.addEventListener.bind(socket),
    }
    return { socket: standard, leave: () => client.close() }
  },
  'a SockJS connection': async t => {
    const { port, socket } = await sockJs(t)
    const client = new WsClient(`ws://127.0.0.1:${port}/chat/000/user/websocket`)
    t.after(() => client.terminate())
    await once(client, 'open')
    return { socket: await socket, leave: () => client.close() }
  },
  'a SockJS connection that polls': async t => {
    const { port, socket } = await sockJs(t)
    const leaving = new AbortController()
    const poll = () =>
      fetch(`http://127.0.0.1:${port}/chat/000/user/xhr`, { method: 'POST', signal: leaving.signal })
    // The response to the first request opens the connection, the second one is pending.
    await (await poll()).text()
    poll().catch(() => {})
    return { socket: await socket, leave: () => leaving.abort() }
  },
  'a Socket.IO socket': t => socketIo(t, 'websocket'),
  'a Socket.IO socket that polls': t => socketIo(t, 'polling'),
  'an Engine.IO socket': async t => {
    const { socket, leave } = await socketIo(t, 'websocket')
    return { socket: socket.conn, leave }
  },
  'a session of better-sse': async t => {
    const open = deferred<Closable>()
    const server = createServer((req, res) => void createSession(req, res).then(open.resolve, open.reject))
    const leaving = new AbortController()
    const port = await portOf(t, server)
    const answer = fetch(`http://127.0.0.1:${port}`, { signal: leaving.signal })
    answer.then(({ body }) => body?.cancel()).catch(() => {})
    return { socket: await open.promise, leave: () => leaving.abort() }
  },
  'a socket of Node.js': async t => {
    const server = createTcpServer(socket => socket.resume())
    const client = connect(await portOf(t, server), '127.0.0.1')
    const [socket] = await once(server, 'connection')
    return { socket, leave: () => client.destroy() }
  },
  'a stream': () => {
    const socket = new PassThrough()
    return { socket, leave: () => socket.destroy() }
  },
  'a stream of HTTP/2': async t => {
    const server = createHttp2Server()
    const client = connectHttp2(`http://127.0.0.1:${await portOf(t, server)}`)
    t.after(() => client.destroy())
    const stream = client.request().on('error', () => {})
    const [socket] = (await once(server, 'stream')) as [ServerHttp2Stream]
    socket.on('error', () => {})
    return { socket, leave: () => stream.close(8) }
  },
  'a response': async t => {
    const server = createServer()
    const client = connect(await portOf(t, server), '127.0.0.1')
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const [, socket] = await once(server, 'request')
    return { socket, leave: () => client.destroy() }
  },
  'a stand-in for a response': async () => {
    const open = deferred<ServerResponse>()
    void light((_req, res) => open.resolve(res), { url: '/' })
    const socket = await open.promise
    return { socket, leave: () => socket.end() }
  },
  'the request of an HTTP client': async t => {
    const server = createServer()
    const socket = get({ port: await portOf(t, server), host: '127.0.0.1' }).on('error', () => {})
    await once(server, 'request')
    return { socket, leave: () => socket.destroy() }
  },
  'a MessagePort': () => {
    const { port1, port2 } = new MessageChannel()
    return { socket: port1, leave: () => port2.close() }
  },
  'an AbortSignal': () => {
    const controller = new AbortController()
    return { socket: controller.signal, leave: () => controller.abort() }
  },
}

for (const [name, open] of Object.entries(ROWS)) {
  it(`${name} counts until it closes, and not after that`, async t => {
    const { gradio, user } = harness(t)
    const { req, end } = await user().begin()
    const { socket, leave } = await open(t)
    gradio.track(req, socket)
    end()
    assert.equal(gradio.stats().pages, 1)
    leave()
    await until(() => gradio.stats().pages === 0)
    const again = await user().begin()
    gradio.track(again.req, socket)
    await new Promise(setImmediate)
    assert.equal(gradio.stats().pages, 0)
    again.end()
  })
}

const REFUSED: Record<string, () => unknown> = {
  'an emitter that shows nothing': () => new EventEmitter(),
  'an event target that shows nothing': () => new EventTarget(),
  'a BroadcastChannel': () => {
    const channel = new BroadcastChannel('any')
    channel.close()
    return channel
  },
  // It is closed at 2, and then emits nothing.
  'an EventSource': () => Object.assign(new EventTarget(), { readyState: 1, close() {} }),
  // https://mongoosejs.com: it is closed at 0.
  'a database connection': () => Object.assign(new EventEmitter(), { readyState: 1, close() {} }),
  'a web stream': () => new ReadableStream(),
  'a promise': () => Promise.resolve(),
  // https://github.com/primus/primus: a Spark emits `end`, and is open at 3.
  'a Spark of Primus': () => Object.assign(new EventEmitter(), { readyState: 3, end() {} }),
  // It closes when its body was read.
  'a request': () => new IncomingMessage(connect({ port: 9, host: '127.0.0.1' }).on('error', () => {})),
  'what shows its state and can say nothing': () => ({ destroyed: false }),
  nothing: () => undefined,
  'a text': () => 'socket',
}

for (const [name, make] of Object.entries(REFUSED)) {
  it(`${name} is rejected, with an alternative`, async t => {
    const { gradio, user } = harness(t)
    const { req, end } = await user().begin()
    assert.throws(
      () => gradio.track(req, make() as Closable),
      isAbout('the second argument of track()', 'an AbortSignal that the app aborts', '', 'OPTION_INVALID'),
    )
    assert.equal(gradio.stats().sessions, 0)
    end()
  })
}

it('a Socket.IO socket counts from a middleware on, before it is connected, even if it is refused', async t => {
  const { gradio, user } = harness(t)
  const http = createServer()
  const server = new SocketIo(http)
  t.after(() => server.close())
  const begun = await Promise.all(['welcome', 'refused'].map(name => user(name).begin()))
  server.use((socket, next) => {
    const isRefused = socket.handshake.auth.name === 'refused'
    gradio.track(begun[isRefused ? 1 : 0]!.req, socket)
    next(isRefused ? new Error('Refused') : undefined)
  })
  const port = await portOf(t, http)
  const open = (name: string) =>
    io(`http://127.0.0.1:${port}`, { auth: { name }, forceNew: true, reconnection: false })
  const welcome = open('welcome')
  t.after(() => welcome.disconnect())
  await once(welcome as unknown as EventEmitter, 'connect')
  for (const { end } of begun) end()
  assert.equal(gradio.stats().pages, 1)
  const refused = open('refused')
  t.after(() => refused.disconnect())
  await once(refused as unknown as EventEmitter, 'connect_error')
  assert.equal(gradio.stats().pages, 2)
  refused.disconnect()
  await until(() => gradio.stats().pages === 1)
  welcome.disconnect()
  await until(() => gradio.stats().pages === 0)
})

it('a session of better-sse that was created after its user had left does not count', async t => {
  const { gradio, user } = harness(t)
  const leaving = new AbortController()
  const answer = async (req: IncomingMessage, res: ServerResponse) => {
    leaving.abort()
    await once(req.socket, 'close')
    const session = await createSession(req, res, { keepAlive: null })
    assert.equal(session.isConnected, true)
    const { state } = await user().begin()
    gradio.track(Object.assign(req, { gradioState: state }), session)
  }
  const answered = deferred<void>()
  const server = createServer((req, res) => void answer(req, res).then(answered.resolve, answered.reject))
  await fetch(`http://127.0.0.1:${await portOf(t, server)}`, { signal: leaving.signal }).catch(() => {})
  await answered.promise
  await new Promise(setImmediate)
  assert.equal(gradio.stats().pages, 0)
})
