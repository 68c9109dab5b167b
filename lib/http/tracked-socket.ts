import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import { whenOver } from '../util/response-over.js'

/**
 * A socket with a property that shows whether it is open: a response, stream or socket of Node.js; a WebSocket, SockJS connection or
 * Engine.IO socket; a Socket.IO socket; a better-sse session; a `MessagePort`; or an `AbortSignal`, which can represent anything else.
 */
export type Closable =
  | { readonly destroyed: boolean }
  | { readonly readyState: number | string; close(): unknown; send(data: string): unknown }
  | { readonly readyState: number | string; close(): unknown; write(data: string): unknown }
  | { readonly connected: boolean; disconnect(): unknown }
  | { readonly isConnected: boolean }
  | { readonly aborted: boolean }
  | { postMessage(message: unknown): void; start(): void; close(): void }

/** Calls the listener once, when the socket closes, or at once if it is closed already. */
export type WhenClosed = (listener: () => void) => void

/** How to wait for a socket's close; `undefined` if its close can't be detected. */
export function closeOf(req: IncomingMessage, socket: SocketLike | null | undefined): WhenClosed | undefined {
  if (typeof socket !== 'object' || socket === null) return undefined
  // A request closes when its body was read, while the user may still be connected.
  if (socket.httpVersion !== undefined) return undefined
  if (isResponse(socket)) return listener => whenOver({ req: socket.req ?? req, res: socket }, listener)
  const kind = KINDS.find(kind => kind.isKind(socket))
  const substitute = kind?.substitute?.(socket)
  if (substitute !== undefined) return closeOf(req, substitute)
  const listen = kind && listenerFor(socket, kind.event)
  return listen && (listener => (kind.isClosed(socket, req) ? listener() : listen(listener)))
}

/** How to recognize a kind of socket, and the event that it emits when it closes. An object doesn't show which events it will emit. */
interface SocketKind {
  isKind(socket: SocketLike): boolean
  isClosed(socket: SocketLike, req: IncomingMessage): boolean
  readonly event: string
  /** The socket to observe instead, for one that may never emit the event. */
  substitute?(socket: SocketLike): SocketLike | undefined
}

const KINDS: readonly SocketKind[] = [
  // Sockets and streams of Node.js.
  { isKind: s => typeof s.destroyed === 'boolean', isClosed: s => s.destroyed === true, event: 'close' },
  // ws, SockJS, Engine.IO, the browsers' WebSocket. Not Primus, whose sockets have no close(), and for which 3 means open; nor an
  // EventSource or a database connection, which have a close() and other states.
  {
    isKind: s => s.readyState !== undefined && typeof s.close === 'function' && canSend(s),
    isClosed: s => s.readyState === 3 || s.readyState === 'closed',
    event: 'close',
  },
  // Socket.IO. In a middleware (`io.use`) the socket isn't connected yet, and if it is refused there it emits nothing, but its Engine.IO
  // socket does.
  {
    isKind: s => typeof s.connected === 'boolean' && typeof s.disconnect === 'function',
    isClosed: s => s.connected === false,
    event: 'disconnect',
    substitute: s => (s.connected === false && isObject(s.conn) ? s.conn : undefined),
  },
  // better-sse. A session that was created after the connection was lost looks connected, and emits nothing.
  {
    isKind: s => typeof s.isConnected === 'boolean',
    isClosed: (s, req) => s.isConnected === false || req.socket.destroyed,
    event: 'disconnected',
  },
  { isKind: s => typeof s.aborted === 'boolean', isClosed: s => s.aborted === true, event: 'abort' },
  { isKind: isMessagePort, isClosed: s => isMessagePort(s) && !canBeReferenced(s), event: 'close' },
]

/** The properties that are read. A socket has some of them. */
interface SocketLike {
  readonly destroyed?: unknown
  readonly readyState?: unknown
  readonly connected?: unknown
  readonly isConnected?: unknown
  readonly aborted?: unknown
  readonly close?: unknown
  readonly disconnect?: unknown
  readonly send?: unknown
  readonly write?: unknown
  readonly conn?: unknown
  readonly once?: unknown
  readonly addEventListener?: unknown
  readonly httpVersion?: unknown
  readonly writeHead?: unknown
}

function isObject(value: unknown): value is SocketLike {
  return typeof value === 'object' && value !== null
}

function canSend(socket: SocketLike): boolean {
  return typeof socket.send === 'function' || typeof socket.write === 'function'
}

function isMessagePort(socket: SocketLike): socket is ReferencedPort {
  return ['postMessage', 'start', 'ref', 'unref', 'hasRef'].every(
    name => typeof Reflect.get(socket, name) === 'function',
  )
}

/** The methods of a `MessagePort` by which it keeps the process running (Node.js, `worker_threads`). */
interface ReferencedPort extends SocketLike {
  ref(): void
  unref(): void
  hasRef(): boolean
}

/** Whether the port is open: `ref()` of a closed one has no effect. No property shows it. */
function canBeReferenced(port: ReferencedPort): boolean {
  if (port.hasRef()) return true
  port.ref()
  const isOpen = port.hasRef()
  port.unref()
  return isOpen
}

/** Not the request of an HTTP client, which has `setHeader()` too: it finishes when it was sent. */
function isResponse(socket: SocketLike): socket is ServerResponse | Http2ServerResponse {
  return typeof socket.writeHead === 'function'
}

/** For an `EventEmitter` or an `EventTarget`. */
function listenerFor(socket: SocketLike, event: string): WhenClosed | undefined {
  if (isEmitter(socket)) return listener => socket.once(event, listener)
  if (isEventTarget(socket)) return listener => socket.addEventListener(event, listener, { once: true })
  return undefined
}

function isEmitter(socket: SocketLike): socket is Pick<EventEmitter, 'once'> {
  return typeof socket.once === 'function'
}

function isEventTarget(socket: SocketLike): socket is Pick<EventTarget, 'addEventListener'> {
  return typeof socket.addEventListener === 'function'
}
