import type { Socket } from 'node:net'
import { shaped } from '../parse.js'
import type { Deadlines } from '../util/scheduler.js'

/** The part of a server of `node:http`, `node:https` or `node:http2` that is used here. */
export interface ClosableServer {
  close(done: () => void): unknown
  /** Servers of `node:http2` don't have it: they close idle sessions themselves. */
  closeIdleConnections?(): void
  closeAllConnections?(): void
}

/**
 * Closes a server: it stops accepting connections, and closes each when its response is over. `server.close()` alone leaves
 * those that become idle later open for `keepAliveTimeout` (5 s).
 */
export class ServerClosing {
  readonly #server: ClosableServer
  readonly #deadlines: Deadlines
  readonly #closed: Promise<void>
  readonly #stop: () => void

  /** @throws GradioStateError `OPTION_INVALID` */
  constructor(server: ClosableServer, deadlines: Deadlines) {
    this.#server = shaped('the server of close()', server, { close: true }, 'a server')
    this.#deadlines = deadlines
    // The callback is also called for a server that doesn't listen, with an error that says so.
    this.#closed = new Promise(resolve => server.close(() => resolve()))
    closeIdle(server)
    this.#stop = deadlines.every(100, async () => closeIdle(server))
  }

  /**
   * Waits until all connections are closed, at most `ms`. Then it closes them all, except those that were upgraded for the app,
   * for example by its own WebSocket library.
   * @returns whether all were closed in time
   */
  async finish(ms: number): Promise<boolean> {
    const isClosed = await this.#deadlines.within(this.#closed, Math.max(ms, 0))
    this.#stop()
    if (!isClosed) this.#server.closeAllConnections?.()
    return isClosed
  }
}

/**
 * A connection that has sent nothing yet, such as one that a browser or a load balancer opens in advance, doesn't count as idle before
 * Node.js 26.4 (nodejs/node#63470). Earlier versions only have a list of them that isn't public (lib/_http_server.js).
 */
function closeIdle(server: ClosableServer): void {
  server.closeIdleConnections?.()
  const symbol = Object.getOwnPropertySymbols(server).find(
    ({ description }) => description === 'http.server.connections',
  )
  const connections = symbol && (Reflect.get(server, symbol) as ConnectionsList | undefined)
  for (const { socket } of connections?.all?.() ?? []) if (socket.bytesRead === 0) socket.destroy()
}

/** A class of Node.js. The items are parsers. */
interface ConnectionsList {
  all?(): readonly { readonly socket: Socket }[]
}
