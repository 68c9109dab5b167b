import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import { GradioStateError } from '../errors.js'
import { isOver, whenOver } from '../util/response-over.js'

/** How many files wait for their turn on each connection. */
const waiting = new WeakMap<Socket, number>()

/**
 * Resolves when a response is the next one on its connection, or over. Until then, a pipelined response would only keep its file open. The
 * number that wait is limited, as they write nothing: Node.js limits what pipelined responses have written, and not their number.
 * @returns whether the response can still be sent
 * @throws GradioStateError `TOO_MANY_WAITING`
 */
export async function turnOf(req: IncomingMessage, res: ServerResponse): Promise<boolean> {
  if (isQueued(req, res)) {
    const { socket } = req
    const count = waiting.get(socket) ?? 0
    if (count >= MAX_WAITING) throw tooManyWaiting()
    waiting.set(socket, count + 1)
    await new Promise<void>(resolve => {
      // Emitted by Node.js when the earlier responses are over (lib/_http_server.js, `assignSocket`).
      res.once('socket', resolve)
      whenOver({ req, res }, resolve)
    })
    waiting.set(socket, (waiting.get(socket) ?? 1) - 1)
  }
  return !isOver({ req, res })
}

/** Whether Node.js will send earlier responses of the connection first. Then it has not given the response its socket yet. */
function isQueued(req: IncomingMessage, res: ServerResponse): boolean {
  if (!(res instanceof ServerResponse) || res.socket !== null || isOver({ req, res })) return false
  // Set by Node.js on each socket that a server has accepted. Others belong to stand-ins, which may never get a socket.
  return Boolean((req.socket as Socket & { server?: Server | null }).server)
}

const MAX_WAITING = 100

function tooManyWaiting(): GradioStateError {
  return new GradioStateError(
    'TOO_MANY_WAITING',
    `Expected at most ${MAX_WAITING} files to wait for their turn on one connection, got one more. Wait for responses before sending more requests.`,
  )
}
