import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import { whenOver } from '../util/response-over.js'

/**
 * A socket with a property that shows whether it is open: a response, stream or socket of Node.js; a WebSocket, SockJS connection or
 * Engine.IO socket; a Socket.IO socket; a better-sse session; or an `AbortSignal`, which can represent anything else.
 */
export type Closable =
  | { readonly destroyed: boolean }
  | { readonly readyState: number | string; close(): unknown }
  | { readonly connected: boolean; disconnect(): unknown }
  | { readonly isConnected: boolean }
  | { readonly aborted: boolean }

/** Calls the listener once, when the socket closes, or at once if it is closed already. */
export type WhenClosed = (listener: () => void) => void

/** How to wait for a socket's close; `undefined` if its close can't be detected. */
export function closeOf(req: IncomingMessage, socket: SocketLike | null | undefined): WhenClosed | undefined {
  if (typeof socket !== 'object' || socket === null) return undefined
  // A request closes when its body was read, while the user may still be connected.
  if (socket.httpVersion !== undefined) return undefined
  if (isResponse(socket)) return listener => whenOver({ req: socket.req ?? req, res: socket }, listener)
  const kind = KINDS.find(kind => kind.isKind(socket))
  const listen = kind && listenerFor(socket, kind.event)
  return listen && (listener => (kind.isClosed(socket) ? listener() : listen(listener)))
}

/** How to recognize a kind of socket, and the event that it emits when it closes. An object doesn't show which events it will emit. */
interface SocketKind {
  isKind(socket: SocketLike): boolean
  isClosed(socket: SocketLike): boolean
  readonly event: string
}

const KINDS: readonly SocketKind[] = [
  // Sockets and streams of Node.js.
  { isKind: s => typeof s.destroyed === 'boolean', isClosed: s => s.destroyed === true, event: 'close' },
  // ws, SockJS, Engine.IO, the browsers' WebSocket. Not Primus, whose sockets have no close(), and for which 3 means open.
  {
    isKind: s => s.readyState !== undefined && typeof s.close === 'function',
    isClosed: s => s.readyState === 3 || s.readyState === 'closed',
    event: 'close',
  },
  // Socket.IO.
  {
    isKind: s => typeof s.connected === 'boolean' && typeof s.disconnect === 'function',
    isClosed: s => s.connected === false,
    event: 'disconnect',
  },
  // better-sse.
  {
    isKind: s => typeof s.isConnected === 'boolean',
    isClosed: s => s.isConnected === false,
    event: 'disconnected',
  },
  { isKind: s => typeof s.aborted === 'boolean', isClosed: s => s.aborted === true, event: 'abort' },
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
  readonly once?: unknown
  readonly addEventListener?: unknown
  readonly httpVersion?: unknown
  readonly setHeader?: unknown
}

function isResponse(socket: SocketLike): socket is ServerResponse | Http2ServerResponse {
  return typeof socket.setHeader === 'function'
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
