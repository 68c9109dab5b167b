import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Where a node listens on this machine. */
export interface Target {
  readonly port: number
}

/** For how long a node that refused a connection is tried last, in milliseconds. */
const restFor = 1000

/**
 * A load balancer without sticky sessions: each request and each WebSocket goes to the next node in turn. Nothing is buffered
 * or retried.
 */
export function createBalancer(targets: readonly Target[]): Server {
  const restsUntil = new Map<Target, number>()
  let turn = 0

  /** Connects to the next node that accepts a connection. */
  async function reach(): Promise<Socket> {
    const order = [...targets.slice(turn), ...targets.slice(0, turn)]
    turn = (turn + 1) % targets.length
    const isResting = (target: Target) => performance.now() < (restsUntil.get(target) ?? 0)
    for (const target of [...order.filter(target => !isResting(target)), ...order.filter(isResting)]) {
      try {
        return await dial(target)
      } catch {
        restsUntil.set(target, performance.now() + restFor)
      }
    }
    throw new Error('No node accepts connections.')
  }

  async function pass(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const answer = (status: number) => {
      if (res.headersSent) res.destroy()
      else res.writeHead(status, { 'Retry-After': '1' }).end()
    }
    const socket = await reach().catch(() => undefined)
    if (socket === undefined) return answer(503)
    if (res.destroyed) return void socket.destroy()
    const { method, url: path } = req
    // With `connection: close`, a node that refuses an upload would cut off its own response.
    const headers = { ...headersOf(req), connection: 'keep-alive' }
    const onward = request({ method, path, headers, createConnection: () => socket })
    let isAnswered = false
    onward.on('response', reply => {
      isAnswered = true
      res.writeHead(reply.statusCode ?? 502, withoutHop(reply.headers))
      reply.pipe(res)
      reply.on('error', () => res.destroy())
    })
    const release = () => {
      // Discard the rest of a body that the node doesn't read, so that its response isn't delayed.
      req.unpipe(onward)
      req.resume()
      socket.destroy()
    }
    onward.on('error', () => {
      release()
      if (!isAnswered) answer(502)
    })
    res.on('close', release)
    req.pipe(onward)
  }

  async function upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => {})
    const onward = await reach().catch(() => undefined)
    if (onward === undefined || socket.destroyed) {
      onward?.destroy()
      return void socket.destroy()
    }
    const { connection, upgrade: to } = req.headers
    const lines = Object.entries({ ...headersOf(req), connection, upgrade: to }).map(
      ([name, value]) => `${name}: ${value}`,
    )
    onward.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    onward.write(head)
    onward.on('error', () => {})
    onward.on('close', () => socket.destroy())
    socket.on('close', () => onward.destroy())
    socket.pipe(onward).pipe(socket)
  }

  return createServer((req, res) => void pass(req, res)).on(
    'upgrade',
    (...request) => void upgrade(...request),
  )
}

function dial({ port }: Target): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.off('error', reject)
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

/** The headers for the node: those of the request, and where it came from. */
function headersOf({ headers, socket }: IncomingMessage): IncomingHttpHeaders {
  const { expect, ...rest } = withoutHop(headers)
  const before = headers['x-forwarded-for']
  return {
    ...rest,
    'x-forwarded-for': [before, socket.remoteAddress].flat().filter(Boolean).join(', '),
    'x-forwarded-host': headers.host,
    'x-forwarded-proto': 'http',
  }
}

/** Removes hop-by-hop headers (RFC 9110, section 7.6.1). */
function withoutHop({ connection, upgrade, 'keep-alive': _, ...headers }: IncomingHttpHeaders) {
  return headers
}
