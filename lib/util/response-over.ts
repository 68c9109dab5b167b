import type { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse, Http2Stream } from 'node:http2'
import type { Socket } from 'node:net'

/** A request and its response. For an upgrade there may be no response, or one that never emits an event. */
export interface Exchange {
  readonly req: { readonly socket: Socket }
  readonly res: ServerResponse | Http2ServerResponse | undefined
}

/** Whether the response was sent, or can no longer be sent. */
export function isOver({ req, res }: Exchange): boolean {
  if (res?.writableFinished || res?.destroyed) return true
  const stream = streamOf(res)
  // An HTTP/2 response that was reset has no socket any more, and emits nothing.
  if (stream?.destroyed || stream?.writableFinished) return true
  const connection = res?.socket ?? req.socket
  return connection?.destroyed || !(isEmitter(res) || isEmitter(connection))
}

/**
 * Calls `listener` once when the response is over, immediately if it already is. `close` of the response is not enough: when a connection
 * is lost, Node.js doesn't emit it on a response that is queued behind others on a pipelined connection, nor on a stand-in without a
 * socket, such as WebSocket libraries pass through an app's middleware. For these, `close` of the connection is observed. (`close` of the
 * request doesn't mark the end: Node.js emits it when the body was read.)
 * @returns a function that removes the listener
 */
export function whenOver(exchange: Exchange, listener: () => void): () => void {
  const { req, res } = exchange
  if (isOver(exchange)) {
    listener()
    return () => {}
  }
  const response: EventEmitter | undefined = isEmitter(res) ? res : undefined
  // A response of HTTP/2 emits `finish` when the body of its request has ended, too, which the client may put off as long as it likes.
  const stream = streamOf(res)
  const waiting = res?.socket || !isEmitter(req.socket) ? undefined : waitingFor(req.socket)
  const removeListeners = () => {
    response?.off('finish', onOver).off('close', onOver)
    stream?.off('finish', onOver)
    waiting?.delete(onOver)
  }
  const onOver = () => {
    removeListeners()
    listener()
  }
  response?.on('finish', onOver).on('close', onOver)
  stream?.on('finish', onOver)
  waiting?.add(onOver)
  return removeListeners
}

/** The stream of a response over HTTP/2. */
function streamOf(res: Exchange['res']): Http2Stream | undefined {
  return res !== undefined && 'stream' in res ? res.stream : undefined
}

/** Callbacks for the close of a connection. One listener calls all of them, as there may be hundreds of pipelined requests. */
const waitingByConnection = new WeakMap<EventEmitter, Set<() => void>>()

function waitingFor(connection: EventEmitter): Set<() => void> {
  const known = waitingByConnection.get(connection)
  if (known !== undefined) return known
  const waiting = new Set<() => void>()
  waitingByConnection.set(connection, waiting)
  connection.once('close', () => {
    for (const onOver of waiting) onOver()
  })
  return waiting
}

/** Checks `listenerCount`, because stand-ins such as those of node-mocks-http have an `on` that does nothing. */
function isEmitter(value: unknown): value is EventEmitter {
  return typeof (value as Partial<EventEmitter> | null | undefined)?.listenerCount === 'function'
}
