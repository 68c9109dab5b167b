import type { IncomingMessage } from 'node:http'
import { constants, type Http2Stream } from 'node:http2'
import { Deadline, type Deadlines } from '../util/scheduler.js'

/**
 * Ends requests whose body the app reads but of which nothing has arrived for two minutes: their clients have probably left. Otherwise one
 * HTTP/2 connection could keep any number of sessions open, because no timeout of Node.js ends its streams.
 */
export class StalledRequests {
  readonly #deadlines: Deadlines

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines
  }

  /** Observes a request. @returns a function to call when the exchange is over, or no longer observed */
  watch(req: IncomingMessage): () => void {
    if (!hasBody(req)) return () => {}
    let isObserved = false
    let hasArrived = false
    const check = () => {
      if (req.readableEnded || req.destroyed) return
      // A `data` listener would start reading, so it is only added to a body that is being read. A body that the app has paused is not.
      const isRead = req.readableFlowing === true || req.listenerCount('readable') > 0
      if (isRead && isObserved && !hasArrived && req.readableLength === 0) return end(req)
      if (isRead && !isObserved) {
        isObserved = true
        req.on('data', () => {
          hasArrived = true
        })
      }
      hasArrived = !isRead
      this.#deadlines.schedule(deadline, LIMIT)
    }
    const deadline = new Deadline(check)
    this.#deadlines.schedule(deadline, LIMIT)
    return () => this.#deadlines.cancel(deadline)
  }
}

/** The stream of a request over HTTP/2, which Node.js doesn't declare on the type that frameworks use. */
function streamOf(req: object): Http2Stream | undefined {
  return (req as { stream?: Http2Stream }).stream
}

function hasBody(req: IncomingMessage): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = req.headers
  if (req.httpVersionMajor === 1) return length !== '0' || encoding !== undefined
  return streamOf(req)?.endAfterHeaders === false
}

/** As if the client had left. */
function end(req: IncomingMessage): void {
  const stream = streamOf(req)
  if (stream === undefined) req.destroy()
  else stream.close(constants.NGHTTP2_CANCEL)
}

const LIMIT = 120_000
