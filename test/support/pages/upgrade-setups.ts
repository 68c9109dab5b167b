// Typical servers of apps, and what clients send to them, for upgrade-matrix.ts.

import { IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'

/** When a set-up does its part: before the server gets its first request, or after it. */
export interface Setup {
  readonly before?: (server: Server) => void
  readonly after?: (server: Server) => void
  /** Options of `createServer()`. */
  readonly options?: object
}

type Listener = (req: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Answers an upgrade by hand, and echoes what the socket receives. */
const echo: Listener = (req, socket, head) => {
  socket.on('error', () => socket.destroy())
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: any\r\nConnection: Upgrade\r\n\r\n${req.url}|`)
  socket.write(head)
  socket.on('data', data => socket.write(data))
  socket.on('end', () => socket.end())
}

/** Accepts upgrades of one path. */
const only =
  (path: string): Listener =>
  (req, socket, head) => {
    if (req.url === path) echo(req, socket, head)
  }

function withWs(server: Server, closes: boolean): void {
  const chat = new WebSocketServer({ server, path: '/chat' })
  chat.on('connection', socket => {
    socket.on('error', () => {})
    if (closes) chat.close()
    socket.send('chat')
  })
}

/** Counts emitted events, like tracers. */
function wrapEmit(server: Server): void {
  const emit = server.emit
  let emitted = 0
  server.emit = function (this: Server, ...given: Parameters<Server['emit']>) {
    emitted++
    return emit.apply(this, given) && emitted > 0
  } as Server['emit']
}

class OwnRequest extends IncomingMessage {
  readonly isOwn = true
}

export const setups: Readonly<Record<string, Setup>> = {
  'no listener': {},
  'a listener': { before: server => server.on('upgrade', echo) },
  'a listener, added later': { after: server => server.on('upgrade', echo) },
  once: { before: server => server.once('upgrade', echo) },
  'once, added later': { after: server => server.once('upgrade', echo) },
  'a listener that removes itself': {
    before(server) {
      const listener: Listener = (...upgrade) => {
        server.off('upgrade', listener)
        echo(...upgrade)
      }
      server.on('upgrade', listener)
    },
  },
  'a listener that was removed': {
    before: server => server.on('upgrade', echo),
    after: server => server.off('upgrade', echo),
  },
  'two listeners': {
    before: server => server.on('upgrade', only('/chat')),
    after: server => server.on('upgrade', only('/other')),
  },
  'ws with a path': { before: server => withWs(server, false) },
  'ws that is closed by its first connection': { before: server => withWs(server, true) },
  'a callback of its own': {
    options: { shouldUpgradeCallback: (req: IncomingMessage) => req.url === '/chat' },
    before: server => server.on('upgrade', echo),
  },
  'emit wrapped before': { before: server => wrapEmit(server.on('upgrade', echo)) },
  'emit wrapped later': { after: server => wrapEmit(server.on('upgrade', echo)) },
  'listeners for all else': {
    before(server) {
      server.on('checkContinue', (req, res) => res.end(`continue ${req.url}`))
      server.on('connect', (_req, socket) => socket.end('HTTP/1.1 501 No\r\n\r\n'))
      server.on('clientError', (_error, socket) => socket.end('HTTP/1.1 400 Own\r\n\r\n'))
    },
  },
  'one request a socket': { before: server => Object.assign(server, { maxRequestsPerSocket: 1 }) },
  'a request class of its own': {
    options: { IncomingMessage: OwnRequest, Http1IncomingMessage: OwnRequest },
  },
}

/** What a client does: sends bytes, in pieces; waits for a response; ends its half, or resets the connection. */
export type Step = string | 'ANSWER' | 'END' | 'RESET'

const WEBSOCKET =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'

/** A request with its head; `headers` and everything after them are sent unchanged. */
export function request(line: string, headers = '', more = ''): string {
  return `${line} HTTP/1.1\r\nHost: a\r\n${headers}\r\n${more}`
}

export const sequences: Readonly<Record<string, readonly Step[]>> = {
  'a plain GET': [request('GET /any')],
  'a WebSocket': [request('GET /chat', WEBSOCKET)],
  'a WebSocket elsewhere': [request('GET /other', WEBSOCKET)],
  'a WebSocket in pieces': ['GET /chat HTTP/1.1\r\nHost: a\r\n', WEBSOCKET, '\r\n'],
  'a WebSocket below a path like ours': [
    request('GET /elsewhere/heartbeat/page?n=1&ticket=guess', WEBSOCKET),
  ],
  'a WebSocket behind an answer': [request('GET /one'), 'ANSWER', request('GET /chat', WEBSOCKET)],
  'a WebSocket behind a pending answer': [request('GET /slow') + request('GET /chat', WEBSOCKET)],
  'a WebSocket with bytes behind it': [request('GET /chat', WEBSOCKET, request('GET /two'))],
  'a WebSocket and its end': [request('GET /chat', WEBSOCKET), 'END'],
  'a WebSocket that is reset': [request('GET /chat', WEBSOCKET), 'RESET'],
  'h2c, twice': [request('GET /one', H2C), request('GET /two', H2C)],
  'h2c with a body': [request('POST /any', `${H2C}Content-Length: 8\r\n`, 'bo'), 'dybody'],
  'h2c with chunks': [
    request('POST /any', `${H2C}Transfer-Encoding: chunked\r\n`, '4\r\nbo'),
    'dy\r\n0\r\n\r\n',
  ],
  'h2c with Expect': [request('POST /any', `${H2C}Expect: 100-continue\r\nContent-Length: 2\r\n`), 'ok'],
  'HEAD with an offer': [request('HEAD /any', H2C)],
  CONNECT: [request('CONNECT a:1', WEBSOCKET)],
  'a WebSocket by HTTP/1.0': [`GET /chat HTTP/1.0\r\n${WEBSOCKET}\r\n`],
  garbage: ['nothing that is HTTP\r\n\r\n'],
}

export { WEBSOCKET }
