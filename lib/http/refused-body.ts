import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerResponse } from 'node:http2'
import type { Writable } from 'node:stream'

/**
 * A `streamHandler` of multer. By default, multer reports an error only when the body of the request has ended, so that a server that
 * closes the connection after its response doesn't cut off the client. Node.js reads and discards the rest after a response. Therefore the
 * error is reported at once here, and a client can't prolong a refused upload.
 */
export function pipeBody(req: IncomingMessage, parser: Writable): void {
  parser.once('unpipe', () => {
    if (req.readableEnded || req.destroyed) return
    // multer unpipes its parser, and then waits if the request is `readable` (lib/make-middleware.js, `done`).
    Object.assign(req, { readable: false })
    process.nextTick(() => Object.assign(req, { readable: true }))
  })
  req.pipe(parser)
}

/** Resets the stream of a refused upload after its response, as RFC 9113 §8.1 provides. */
export function resetAfterResponse(res: ServerResponse | Http2ServerResponse): void {
  if (!('stream' in res)) return
  const { stream } = res
  stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR))
}
