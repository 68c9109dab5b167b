import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { GradioStateError } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import { Deadline } from '../util/scheduler.js'
import type { Pages } from './pages.js'
import { PingSchedule } from './ping-schedule.js'
import type { Ticket } from './tickets.js'
import { hookUpgrades, type UpgradeDecision, type UpgradeHandler } from './upgrade-hook.js'
import { acceptUpgrade, type Upgrade } from './websocket.js'

/**
 * Accepts the WebSocket upgrades of pages. A valid ticket is sufficient, so neither session middleware nor session store is involved. Every
 * other request below the library's routes is handled by its route.
 */
export class PageUpgrades implements UpgradeHandler {
  readonly #pages: Pages
  readonly #sessions: Sessions
  readonly #pings: PingSchedule
  readonly #onOpened: SocketListener
  readonly #unhook = new Map<Server, () => void>()
  /** The paths that the library's routes are mounted on. Recorded from requests. */
  readonly #bases = new Set<string>()
  /** The connections whose pages are being taken over from other nodes. */
  readonly #takeovers = new Set<Duplex>()
  #isClosed = false

  /**
   * @param heartbeat the ping interval, in milliseconds
   * @param onOpened called with each request that opens the socket of a page of this process
   */
  constructor(pages: Pages, sessions: Sessions, heartbeat: number, onOpened: SocketListener) {
    this.#onOpened = onOpened
    this.#pages = pages
    this.#sessions = sessions
    this.#pings = new PingSchedule(sessions.deadlines, heartbeat)
  }

  /** Handles upgrades of a server until it closes. A second call does nothing. */
  attach(server: Server): void {
    if (this.#isClosed || this.#unhook.has(server)) return
    this.#unhook.set(server, hookUpgrades(server, this))
  }

  serverClosed(server: Server): void {
    this.#unhook.delete(server)
  }

  /** @param base the path of the library's routes, including that of the router that they are mounted on */
  addBase(base: string): void {
    if (this.#bases.size < MAX_BASES) this.#bases.add(base)
  }

  /** Removes the hooks from all servers. Open sockets are closed when their sessions end. */
  close(): void {
    this.#isClosed = true
    for (const connection of this.#takeovers) this.#refuse(connection, 503)
    for (const unhook of this.#unhook.values()) unhook()
    this.#unhook.clear()
  }

  decide(req: IncomingMessage): UpgradeDecision {
    const address = parse(req)
    if (address === undefined) return undefined
    const isAdmitted = typeof this.#ticketOf(address) === 'object'
    if (isAdmitted && isWebSocketUpgrade(req) && isConnectionFree(req)) return 'upgrade'
    return this.#bases.has(address.base) ? 'plain' : undefined
  }

  handle(...upgrade: Upgrade): void {
    const [req, connection] = upgrade
    const { sealed = '' } = parse(req) ?? {}
    const ticket = this.#pages.findTicket(sealed)
    if (ticket === undefined) {
      connection.destroy()
      return
    }
    const page = this.#pages.useTicket(ticket)
    if (page === undefined) void this.#takeOver(sealed, ticket, upgrade)
    else {
      this.#onOpened(page.id, req)
      acceptUpgrade(upgrade, page, this.#pings)
    }
  }

  /** The status for a request that should open a socket but wasn't upgraded: 426 if its ticket is valid. */
  statusOf(req: IncomingMessage): number {
    if (this.#isClosed) return 503
    const address = isWebSocketUpgrade(req) ? parse(req) : undefined
    const ticket = address && this.#ticketOf(address)
    if (ticket === 401) this.#pages.noteRefused(address?.sealed ?? '')
    return typeof ticket === 'number' ? ticket : 426
  }

  /** The ticket of a request; the status of the response if it is invalid. */
  #ticketOf({ page, epoch, sealed }: SocketAddress): Ticket | number {
    const ticket = this.#pages.findTicket(sealed)
    if (ticket === undefined) return 401
    if (ticket.page !== page || String(ticket.epoch) !== epoch) return 409
    return ticket
  }

  /** Moves a page from another node to this one. */
  async #takeOver(sealed: string, ticket: Ticket, upgrade: Upgrade): Promise<void> {
    const [, connection] = upgrade
    const { deadlines, hooks } = this.#sessions
    const destroy = () => connection.destroy()
    const limit = new Deadline(() => this.#refuse(connection, 503))
    connection.on('error', destroy)
    this.#takeovers.add(connection)
    deadlines.schedule(limit, MAX_TAKEOVER)
    try {
      const page = await this.#pages.takeOver(sealed, ticket)
      // If the connection was lost in the meantime, the handshake has failed and the page continues with heartbeats. It hasn't left.
      if (!this.#takeovers.has(connection) || connection.destroyed) return
      page.expectOpen(ticket.epoch)
      connection.off('error', destroy)
      acceptUpgrade(upgrade, page, this.#pings)
    } catch (error) {
      if (!(error instanceof GradioStateError)) hooks.report(error, { source: 'cluster' })
      this.#refuse(connection, statusFor(error))
    } finally {
      deadlines.cancel(limit)
      this.#takeovers.delete(connection)
    }
  }

  /** Sends an error response, if none was sent before. After an upgrade, Node.js provides no `ServerResponse`. */
  #refuse(connection: Duplex, status: number): void {
    if (!this.#takeovers.delete(connection)) return
    const { deadlines } = this.#sessions
    const limit = new Deadline(() => connection.destroy())
    deadlines.schedule(limit, MAX_REFUSAL)
    connection.once('close', () => deadlines.cancel(limit))
    // Discards what the peer still sends: without reading, its end of the connection isn't detected.
    connection.resume()
    connection.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    )
  }
}

type SocketListener = (page: string, req: IncomingMessage) => void

/** The parts of the URL of a page's socket. */
interface SocketAddress {
  readonly base: string
  readonly page: string
  readonly epoch: string | null
  readonly sealed: string
}

function parse({ url = '' }: IncomingMessage): SocketAddress | undefined {
  const found = /^([^?#]*)\/heartbeat\/([\w-]{1,64})(?:\?(.*))?$/.exec(url)
  if (found === null) return undefined
  const [, base = '', page = '', query = ''] = found
  const parameters = new URLSearchParams(query)
  return { base, page, epoch: parameters.get('n'), sealed: parameters.get('ticket') ?? '' }
}

function isWebSocketUpgrade({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

/** Whether nothing else uses the request's connection: no response is pending on it, and the request has no body. */
function isConnectionFree({ headers, socket }: IncomingMessage): boolean {
  // The response that is being sent. Set by `ServerResponse.assignSocket` (Node.js, lib/_http_server.js).
  const { _httpMessage: pending } = socket as Socket & { _httpMessage?: ServerResponse | null }
  const hasBody = 'transfer-encoding' in headers || Number(headers['content-length'] ?? 0) !== 0
  return !pending && !hasBody
}

function statusFor(error: unknown): number {
  if (!(error instanceof GradioStateError)) return 503
  return error.code === 'PAGE_UNKNOWN' ? 401 : error.status
}

const MAX_BASES = 64
/** How long a takeover may last, including the responses of the other node and of Redis; milliseconds. */
const MAX_TAKEOVER = 10_000
/** How long the peer may take to read a refusal; milliseconds. Closing the connection at once could lose it (RFC 9112 §9.6). */
const MAX_REFUSAL = 1_000
