import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export interface ProxyOptions {
  /**
   * What happens to an upgrade. `strip`: it is passed on as a plain request without hop-by-hop headers, as
   * with nginx's defaults. `refuse`: the proxy itself responds. @default 'pass'
   */
  upgrades?: 'pass' | 'strip' | 'refuse'
  /** Before a request is passed on: may wait, or respond. */
  onRequest?(req: IncomingMessage, res: ServerResponse): Promise<void> | void
  /** Before an upgrade is passed on: may wait. */
  onUpgrade?(): Promise<void>
}

export interface HttpProxy {
  readonly port: number
  /** How many upgrades it received. */
  readonly upgrades: number
  /** Closes all connections. */
  cut(): void
  close(): void
}

/** An HTTP proxy between a browser and the server at port `to`; a function chooses one for each request. */
export async function proxy(
  to: number | (() => number),
  { upgrades = 'pass', onRequest, onUpgrade }: ProxyOptions = {},
): Promise<HttpProxy> {
  const sockets = new Set<Duplex>()
  let seen = 0
  const port = () => (typeof to === 'number' ? to : to())

  async function forward(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (req.headers.upgrade) seen++
    await onRequest?.(req, res)
    if (res.headersSent || res.closed) return
    const { upgrade, connection, ...headers } = req.headers
    const onward = request({ port: port(), host: '127.0.0.1', method: req.method, path: req.url, headers })
    onward.on('response', answer => {
      res.writeHead(answer.statusCode as number, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.pipe(onward)
  }

  async function upgrade(req: IncomingMessage, near: Socket, head: Buffer): Promise<void> {
    seen++
    near.on('error', () => {})
    if (upgrades === 'refuse') {
      near.end('HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    if (onUpgrade !== undefined) {
      // Only a socket that is read detects that the browser has closed it. Browsers send nothing before the response.
      near.resume().once('end', () => near.destroy())
      await onUpgrade()
      if (near.destroyed) return
    }
    const far = connect(port(), '127.0.0.1')
    const lines = [`${req.method} ${req.url} HTTP/1.1`]
    for (let i = 0; i < req.rawHeaders.length; i += 2) {
      lines.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`)
    }
    far.on('error', () => {})
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    far.write(`${lines.join('\r\n')}\r\n\r\n`)
    far.write(head)
    near.pipe(far).pipe(near)
  }

  const server = createServer((req, res) => void forward(req, res))
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  if (upgrades !== 'strip') {
    server.on('upgrade', (req, near: Socket, head) => void upgrade(req, near, head))
  }
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    get upgrades() {
      return seen
    },
    cut,
    close() {
      server.close()
      cut()
    },
  }
}
