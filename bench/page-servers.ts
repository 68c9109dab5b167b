import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { createSession } from 'better-sse'
import express from 'express'
import { gradioState } from 'gradio-state'
import { Server as SocketIo } from 'socket.io'

/** A server of open pages, which sends each a heartbeat every {@link HEARTBEAT} seconds. */
export interface PageServer {
  readonly server: Server
  /** How many pages are open. */
  pages(): number
}

/** In seconds: a third of gradio-state's default, for more beats in the same time. */
export const HEARTBEAT = 5

export const SERVERS = {
  /** With a session for each page. */
  'gradio-state'() {
    const gradio = gradioState({ heartbeat: HEARTBEAT, maxSessions: MOST_SESSIONS })
    const app = express()
    app.use(gradio)
    return { server: createServer(app), pages: () => gradio.stats().pages }
  },
  'a bare event stream'() {
    const streams = new Set<ServerResponse>()
    const server = createServer((_req, res) => {
      res.writeHead(200, EVENT_STREAM).flushHeaders()
      streams.add(res)
      res.once('close', () => streams.delete(res))
    })
    setInterval(() => {
      for (const res of streams) res.write(':\n\n')
    }, HEARTBEAT * 1_000)
    return { server, pages: () => streams.size }
  },
  'better-sse'() {
    let pages = 0
    const begin = async (req: IncomingMessage, res: ServerResponse) => {
      const session = await createSession(req, res, { keepAlive: HEARTBEAT * 1_000 })
      pages++
      session.once('disconnected', () => pages--)
    }
    const server = createServer((req, res) => void begin(req, res))
    return { server, pages: () => pages }
  },
  /** Its pages connect with a WebSocket at once, which is the cheapest way. */
  'Socket.IO'() {
    const server = createServer()
    const io = new SocketIo(server, { pingInterval: HEARTBEAT * 1_000, serveClient: false })
    return { server, pages: () => io.of('/').sockets.size }
  },
  'a bare upgraded socket'() {
    const sockets = new Set<Duplex>()
    const server = createServer()
    let received = 0
    server.on('upgrade', (_req, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      sockets.add(socket)
      socket.on('data', () => received++)
      socket.on('error', () => {})
      socket.once('close', () => sockets.delete(socket))
    })
    setInterval(() => {
      for (const socket of sockets) socket.write(PING)
    }, HEARTBEAT * 1_000)
    return { server, pages: () => sockets.size }
  },
} satisfies Record<string, () => PageServer>

export type PageServerName = keyof typeof SERVERS

export const MOST_SESSIONS = 10_000_000
const EVENT_STREAM = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' }
const PING = Buffer.from([0x89, 0])
