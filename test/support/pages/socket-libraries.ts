// Apps that have sockets of another library beside this one's, and proxies that pass WebSockets on.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { TestContext } from 'node:test'
import express from 'express'
import expressWs from 'express-ws'
import httpProxy from 'http-proxy'
import { createProxyMiddleware } from 'http-proxy-middleware'
import Koa, { type Middleware } from 'koa'
import { Server as SocketIo } from 'socket.io'
import { io } from 'socket.io-client'
import { WebSocket, WebSocketServer } from 'ws'
import { serve } from '../http/express.ts'

/** The parts of an app. */
export interface Parts {
  readonly t: TestContext
  /** The library's middleware, or one that does nothing. */
  readonly express: (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void
  readonly koa: Middleware
  /** Echoes what a WebSocket of the app receives, and counts it as closed when it closes. */
  accept(socket: WebSocket): void
  /** For sockets of other types. */
  countClose(): void
}

/** A user's socket of the other library. */
export interface Conversation {
  /** Sends a text, and resolves with the response. */
  say(text: string): Promise<string>
  close(): void
}

export interface SocketApp {
  /** The server that receives requests, not listening yet. */
  readonly server: Server
  /** Opens a socket of the other library. @default a WebSocket at /chat */
  open?(origin: string): Promise<Conversation>
  /** The other library accepts only the first upgrade. */
  readonly takesOnlyFirst?: boolean
}

export type SocketLibrary = (parts: Parts) => SocketApp | Promise<SocketApp>

const require = createRequire(import.meta.url)
// The types of these two turn every context of Koa into one with a WebSocket, or are those of an ES module.
const websockify = require('koa-websocket') as (app: Koa) => Koa & {
  readonly ws: { use(middleware: Middleware): void; listen(options: { server: Server }): void }
}
const easyWs = require('koa-easy-ws') as () => Middleware

export async function openWebSocket(url: string, protocol?: string): Promise<Conversation> {
  const socket = new WebSocket(url, protocol)
  await once(socket, 'open')
  return {
    async say(text) {
      socket.send(text)
      return String((await once(socket, 'message'))[0])
    },
    close: () => socket.close(),
  }
}

/** An app that responds to every request. */
function expressApp({ express: middleware }: Parts): express.Express {
  const app = express().use(middleware)
  app.get('/chat', (_req, res) => res.send('plain'))
  return app
}

function koaServer(parts: Parts, before: Middleware[], after: Middleware[] = []): Server {
  const app = new Koa()
  for (const each of [...before, parts.koa, ...after]) app.use(each)
  const answer = app.callback()
  return createServer((req, res) => void answer(req, res))
}

/** Closes a WebSocket server of the app when the test is over. */
function theirs({ t, accept }: Parts, server: WebSocketServer): WebSocketServer {
  t.after(() => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  return server.on('connection', accept)
}

function onExpress(attach: (server: Server, parts: Parts) => Partial<SocketApp> | undefined): SocketLibrary {
  return parts => {
    const server = createServer(expressApp(parts))
    return { server, ...attach(server, parts) }
  }
}

/** A separate server, with WebSockets at every path. */
async function backend(parts: Parts): Promise<string> {
  const server = createServer((_req, res) => res.end())
  theirs(parts, new WebSocketServer({ server }))
  return (await serve(parts.t, server)).origin
}

async function socketIo(transport: 'polling' | 'websocket', parts: Parts): Promise<SocketApp> {
  const server = createServer(expressApp(parts))
  const sockets = new SocketIo(server)
  sockets.on('connection', socket => {
    socket.on('disconnect', parts.countClose)
    socket.on('say', (text: string, answer: (text: string) => void) => answer(text))
  })
  parts.t.after(() => sockets.close())
  return {
    server,
    async open(origin) {
      const client = io(origin, { transports: [transport], forceNew: true, reconnection: false })
      parts.t.after(() => client.disconnect())
      await new Promise<void>(resolve => client.once('connect', resolve))
      return { say: text => client.emitWithAck('say', text), close: () => client.disconnect() }
    },
  }
}

const koaEcho =
  ({ accept }: Parts): Middleware =>
  async ctx => {
    const { ws } = ctx as unknown as { ws?: () => Promise<WebSocket> }
    if (ws === undefined) ctx.body = 'plain'
    else accept(await ws())
  }

/** An app with a WebSocket server at /chat, behind another server. */
function behind(makeProxy: (target: string) => Server): SocketLibrary {
  return async parts => {
    const server = createServer(expressApp(parts))
    theirs(parts, new WebSocketServer({ server, path: '/chat' }))
    return { server: makeProxy((await serve(parts.t, server)).origin) }
  }
}

export const libraries: Readonly<Record<string, SocketLibrary>> = {
  'ws with a server': onExpress((server, parts) => void theirs(parts, new WebSocketServer({ server }))),
  'ws with a path': onExpress(
    (server, parts) => void theirs(parts, new WebSocketServer({ server, path: '/chat' })),
  ),
  'ws with noServer, twice': onExpress((server, parts) => {
    const chat = theirs(parts, new WebSocketServer({ noServer: true }))
    const other = theirs(parts, new WebSocketServer({ noServer: true }))
    server.on('upgrade', (req, socket, head) => {
      const sockets = req.url === '/chat' ? chat : other
      sockets.handleUpgrade(req, socket, head, client => sockets.emit('connection', client, req))
    })
  }),
  'ws with a port': onExpress((_server, parts) => {
    const sockets = theirs(parts, new WebSocketServer({ port: 0, host: '127.0.0.1' }))
    return {
      open: async () => {
        if (sockets.address() === null) await once(sockets, 'listening')
        return openWebSocket(`ws://127.0.0.1:${(sockets.address() as { port: number }).port}`)
      },
    }
  }),
  'ws, closed by its first connection': onExpress((server, parts) => {
    const sockets = theirs(parts, new WebSocketServer({ server, path: '/chat' }))
    sockets.on('connection', () => sockets.close())
    return { takesOnlyFirst: true }
  }),
  'ws, by a listener that is called once': onExpress((server, parts) => {
    const sockets = theirs(parts, new WebSocketServer({ noServer: true }))
    server.once('upgrade', (req, socket, head) => sockets.handleUpgrade(req, socket, head, parts.accept))
    return { takesOnlyFirst: true }
  }),
  'express-ws': parts => {
    const app = express()
    const server = createServer(app)
    const { app: withSockets } = expressWs(app as never, server)
    app.use(parts.express)
    withSockets.ws('/chat', parts.accept)
    return { server }
  },
  'koa-easy-ws, mounted before ours': parts => ({ server: koaServer(parts, [easyWs()], [koaEcho(parts)]) }),
  'koa-easy-ws, mounted after ours': parts => ({ server: koaServer(parts, [], [easyWs(), koaEcho(parts)]) }),
  'koa-websocket': parts => {
    const app = websockify(new Koa())
    app.use(parts.koa)
    app.ws.use(parts.koa)
    app.ws.use(ctx => parts.accept(ctx.websocket))
    const answer = app.callback()
    const server = createServer((req, res) => void answer(req, res))
    app.ws.listen({ server })
    return { server }
  },
  'Socket.IO': parts => socketIo('websocket', parts),
  'Socket.IO that polls': parts => socketIo('polling', parts),
  'http-proxy, which passes all upgrades on to another server': async parts => {
    const target = await backend(parts)
    return onExpress(server => {
      const proxy = httpProxy.createProxyServer({ target })
      server.on('upgrade', (req, socket, head) => proxy.ws(req, socket, head))
      return undefined
    })(parts)
  },
  'http-proxy in front of the app': behind(target => {
    const proxy = httpProxy.createProxyServer({ target }).on('error', () => {})
    const server = createServer((req, res) => proxy.web(req, res))
    return server.on('upgrade', (req, socket, head) => proxy.ws(req, socket, head))
  }),
  'http-proxy-middleware, which passes all upgrades on to another server': async parts => {
    const proxy = createProxyMiddleware({ target: await backend(parts) })
    return onExpress(server => void server.on('upgrade', proxy.upgrade))(parts)
  },
  'http-proxy-middleware, which listens to the server by itself': async parts => {
    const proxy = createProxyMiddleware({ target: await backend(parts), ws: true })
    return { server: createServer(express().use(parts.express).use(proxy)) }
  },
  'http-proxy-middleware in front of the app': behind(target => {
    const proxy = createProxyMiddleware({ target })
    return createServer(express().use(proxy)).on('upgrade', proxy.upgrade)
  }),
}
