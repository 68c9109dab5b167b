import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import { whenOver } from '../util/response-over.js'

/**
 * A socket that shows by a state of its own whether it is open: a response, stream or socket of Node.js; a WebSocket, also of SockJS, and
 * an Engine.IO socket; a Socket.IO socket; a session of better-sse; an `AbortSignal`, which stands for anything else.
 */
export type Closable =
  | { readonly destroyed: boolean }
  | { readonly readyState: number | string; close(): unknown }
  | { readonly connected: boolean; disconnect(): unknown }
  | { readonly isConnected: boolean }
  | { readonly aborted: boolean }

/** Calls the listener once the socket is closed, at once where it already is. */
export type WhenClosed = (listener: () => void) => void

/** What can be told of a socket's close; `undefined` where nothing can. */
export function closingOf(req: IncomingMessage, socket: Shown | null | undefined): WhenClosed | undefined {
  if (typeof socket !== 'object' || socket === null) return undefined
  // A request closes when its body was read, which says nothing of the user.
  if (socket.httpVersion !== undefined) return undefined
  if (isResponse(socket)) return listener => whenOver({ req: socket.req ?? req, res: socket }, listener)
  const kind = KINDS.find(kind => kind.isKind(socket))
  const listen = kind && listening(socket, kind.event)
  return listen && (listener => (kind.isClosed(socket) ? listener() : listen(listener)))
}

/** What a kind of socket shows, and the event that it emits when it closes. No object tells which events it will emit. */
interface Kind {
  isKind(socket: Shown): boolean
  isClosed(socket: Shown): boolean
  readonly event: string
}

const KINDS: readonly Kind[] = [
  // Sockets and streams of Node.js.
  { isKind: s => typeof s.destroyed === 'boolean', isClosed: s => s.destroyed === true, event: 'close' },
  // ws, SockJS, Engine.IO, the standard's WebSocket. Not Primus, whose sockets have no close() and are open at 3.
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

/** Whatever of this a socket may have. */
interface Shown {
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

function isResponse(socket: Shown): socket is ServerResponse | Http2ServerResponse {
  return typeof socket.setHeader === 'function'
}

/** Both Node.js's and the browsers' way to listen. */
function listening(socket: Shown, event: string): WhenClosed | undefined {
  if (isEmitter(socket)) return listener => socket.once(event, listener)
  if (isEventTarget(socket)) return listener => socket.addEventListener(event, listener, { once: true })
  return undefined
}

function isEmitter(socket: Shown): socket is Pick<EventEmitter, 'once'> {
  return typeof socket.once === 'function'
}

function isEventTarget(socket: Shown): socket is Pick<EventTarget, 'addEventListener'> {
  return typeof socket.addEventListener === 'function'
}
