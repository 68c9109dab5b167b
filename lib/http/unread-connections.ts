import { type IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Exchange } from '../util/response-over.js'
import { Deadline, type Deadlines } from '../util/scheduler.js'

/**
 * Closes connections that Node.js has not read for two minutes. While 16 KB of pipelined responses wait for an earlier one, it pauses the
 * connection (lib/_http_server.js, `parserOnIncoming`), and doesn't detect that the peer has left. If the earlier response then writes
 * nothing, it never ends, nor does any request on that connection. Browsers don't pipeline requests.
 */
export class UnreadConnections {
  readonly #deadlines: Deadlines
  readonly #connections = new WeakMap<Socket, Connection>()

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines
  }

  /** Observes the connection of an exchange. @returns a function to call when the exchange is over, or no longer observed */
  enter({ req, res }: Exchange): () => void {
    const { socket } = req
    // An upgraded connection belongs to the app. HTTP/2 has no pipelining, and is always read.
    if (!(socket instanceof Socket && res instanceof ServerResponse) || isUpgrade(req)) return () => {}
    let connection = this.#connections.get(socket)
    if (connection === undefined) {
      connection = new Connection(socket, this.#deadlines)
      this.#connections.set(socket, connection)
    }
    return connection.enter()
  }
}

/** A connection, and the requests on it that keep something open. */
class Connection {
  readonly #socket: Socket
  readonly #deadlines: Deadlines
  readonly #deadline: Deadline
  #inFlight = 0

  constructor(socket: Socket, deadlines: Deadlines) {
    this.#socket = socket
    this.#deadlines = deadlines
    this.#deadline = new Deadline(() => socket.destroy())
    const check = () => this.#check()
    socket.on('pause', check).on('resume', check)
  }

  enter(): () => void {
    let isIn = true
    this.#inFlight++
    this.#check()
    return () => {
      if (!isIn) return
      isIn = false
      this.#inFlight--
      this.#check()
    }
  }

  #check(): void {
    if (this.#inFlight > 0 && this.#socket.isPaused()) this.#deadlines.schedule(this.#deadline, LIMIT)
    else this.#deadlines.cancel(this.#deadline)
  }
}

/** Set by Node.js's parser on requests that it hands over with the event `upgrade`. */
function isUpgrade(req: object): boolean {
  return (req as IncomingMessage & { upgrade?: unknown }).upgrade === true
}

const LIMIT = 120_000
