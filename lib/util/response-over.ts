import type { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'

/** A request and its response. At an upgrade there may be no response, or one that never emits an event. */
export interface Exchange {
  readonly req: { readonly socket: Socket }
  readonly res: ServerResponse | Http2ServerResponse | undefined
}

/** Whether the response was sent, or can't be sent any more. */
export function isOver({ req, res }: Exchange): boolean {
  if (res?.writableFinished || res?.destroyed) return true
  // A response of HTTP/2 that was reset has no socket any more, and emits nothing.
  if (res !== undefined && 'stream' in res && res.stream?.destroyed) return true
  const connection = res?.socket ?? req.socket
  return connection?.destroyed || !(isEmitter(res) || isEmitter(connection))
}

/**
 * Calls `listener` once when the response is over, at once where it already is. `close` of the response doesn't tell: Node.js
 * emits it when the connection is lost, but not on a response that waits for its turn on a connection with pipelined requests; nor on a
 * stand-in that has never had a socket, as WebSocket libraries pass through an app's middleware. Those are over with the connection.
 * (`close` of the request doesn't tell either: it comes when the body was read.)
 * @returns takes the listener back
 */
export function whenOver(exchange: Exchange, listener: () => void): () => void {
  const { req, res } = exchange
  if (isOver(exchange)) {
    listener()
    return () => {}
  }
  const response: EventEmitter | undefined = isEmitter(res) ? res : undefined
  const waiting = res?.socket || !isEmitter(req.socket) ? undefined : waitingFor(req.socket)
  const forget = () => {
    response?.off('finish', over).off('close', over)
    waiting?.delete(over)
  }
  const over = () => {
    forget()
    listener()
  }
  response?.on('finish', over).on('close', over)
  waiting?.add(over)
  return forget
}

/** What waits for the close of a connection. It has one listener for all: there may be hundreds of pipelined requests. */
const waitingByConnection = new WeakMap<EventEmitter, Set<() => void>>()

function waitingFor(connection: EventEmitter): Set<() => void> {
  const known = waitingByConnection.get(connection)
  if (known !== undefined) return known
  const waiting = new Set<() => void>()
  waitingByConnection.set(connection, waiting)
  connection.once('close', () => {
    for (const over of waiting) over()
  })
  return waiting
}

/** Stand-ins may have methods of these names that do nothing, as those of node-mocks-http. */
function isEmitter(value: unknown): value is EventEmitter {
  return typeof (value as Partial<EventEmitter> | null | undefined)?.listenerCount === 'function'
}
