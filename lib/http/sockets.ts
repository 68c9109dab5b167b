import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { Deadlines } from '../core/deadlines.js'
import { SocketConnection } from './connections.js'
import { isSameHost } from './origin.js'
import type { Pages, Ticket } from './pages.js'
import { takeUpgrades } from './upgrades.js'

/** The WebSockets of our client. The handshake needs the ticket alone: no session middleware, and no store. */
export class Sockets {
  readonly #pages: Pages
  readonly #deadlines: Deadlines
  readonly #heartbeat: number
  readonly #detach = new Map<Server, () => void>()
  /** Where the library's routes were seen to be: an upgrade below one of these is ours, with or without a ticket. */
  readonly #bases = new Set<string>()
  #isClosed = false
  readonly #server = new WebSocketServer({ noServer: true, clientTracking: false, maxPayload: 1024 })

  constructor(pages: Pages, deadlines: Deadlines, heartbeat: number) {
    this.#pages = pages
    this.#deadlines = deadlines
    this.#heartbeat = heartbeat
  }

  /** Takes part in the upgrades of a server; attaching twice is once. */
  attach(server: Server): void {
    if (this.#isClosed || this.#detach.has(server)) return
    const detach = takeUpgrades(server, (req, socket, head) => this.#take(req, socket, head))
    const close = () => this.#release(server)
    server.once('close', close)
    this.#detach.set(server, () => {
      server.off('close', close)
      detach()
    })
  }

  /** Notes where the routes are, as the router that they are mounted on has it. */
  seeBase(base: string): void {
    if (this.#bases.size < MOST_BASES) this.#bases.add(base)
  }

  /** Leaves all servers. The sockets themselves are closed as their sessions end. */
  close(): void {
    this.#isClosed = true
    for (const server of this.#detach.keys()) this.#release(server)
  }

  #release(server: Server): void {
    this.#detach.get(server)?.()
    this.#detach.delete(server)
  }

  #take(req: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const found = /^([^?#]*)\/heartbeat\/([\w-]{1,64})\?(.*)$/.exec(req.url ?? '')
    if (found === null || req.headers.upgrade?.toLowerCase() !== 'websocket') return false
    const [, base, id, query] = found as unknown as [string, string, string, string]
    const parameters = new URLSearchParams(query)
    const ticket = this.#pages.findTicket(parameters.get('ticket') ?? '')
    if (ticket === undefined) {
      if (!this.#bases.has(base)) return false
      refuse(socket, 401)
    } else if (ticket.page.id !== id || String(ticket.page.epoch) !== parameters.get('n')) {
      refuse(socket, 409)
    } else if (!isOriginOf(ticket, req)) {
      refuse(socket, 403)
    } else {
      this.#accept(ticket, req, socket, head)
    }
    return true
  }

  #accept({ page }: Ticket, req: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#pages.voidTicket(page)
    this.#server.handleUpgrade(req, socket, head, webSocket => {
      new SocketConnection(webSocket, page, this.#deadlines, this.#heartbeat)
    })
  }
}

/** The page that was given the ticket opens the socket; where that one told no origin, the host is compared. */
function isOriginOf(ticket: Ticket, req: IncomingMessage): boolean {
  const { origin } = req.headers
  if (origin === undefined) return true
  return ticket.origin === undefined ? isSameHost(req, origin) : ticket.origin === origin
}

function refuse(socket: Duplex, status: number): void {
  socket.on('error', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

const MOST_BASES = 64
