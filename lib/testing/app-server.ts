import { once } from 'node:events'
import { createServer, type RequestListener, Server } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { type AddressInfo, isIPv6 } from 'node:net'

/** The origin of a server, a server of Node.js, or an app: that of Express, of Koa, or any request listener. */
export type VisitedApp = string | URL | Server | HttpsServer | RequestListener | KoaApp

interface KoaApp {
  callback(): (...request: Parameters<RequestListener>) => unknown
}

/**
 * The origin at which an app or a server can be reached. An app, or a server that isn't listening yet, is served on a free port of the
 * loopback interface from now on, without keeping the process alive.
 */
export async function originOf(app: VisitedApp): Promise<URL> {
  if (typeof app === 'string' || app instanceof URL) return new URL(app)
  const server = isServer(app) ? app : serverOf(app)
  if (!server.listening) {
    const listening = once(server, 'listening')
    // Another visitor may have started it a moment ago.
    if (!isStarting.has(server)) server.listen(0, '127.0.0.1').unref()
    isStarting.add(server)
    await listening
  }
  const { address, port } = server.address() as AddressInfo
  const host = isIPv6(address)
    ? `[${address.replace(/^::$/, '::1')}]`
    : address.replace(/^0\.0\.0\.0$/, '127.0.0.1')
  return new URL(`${server instanceof HttpsServer ? 'https' : 'http'}://${host}:${port}`)
}

const isStarting = new WeakSet<Server | HttpsServer>()

/** One server for each app, so that all its visitors use the same port. */
const servers = new WeakMap<object, Server>()

function serverOf(app: RequestListener | KoaApp): Server {
  const known = servers.get(app)
  if (known !== undefined) return known
  const listener = listenerOf(app)
  const server = createServer(listener).on('connection', socket => socket.unref())
  servers.set(app, server)
  return server
}

function listenerOf(app: RequestListener | KoaApp): RequestListener {
  if (typeof app === 'function') return app
  if (typeof app?.callback !== 'function')
    throw new TypeError(`Expected an origin, a server or an app, received ${String(app)}`)
  const listener = app.callback()
  return (req, res) => void listener(req, res)
}

function isServer(app: Exclude<VisitedApp, string | URL>): app is Server | HttpsServer {
  return app instanceof Server || app instanceof HttpsServer
}
