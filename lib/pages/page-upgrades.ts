import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { GradioStateError } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import { Deadline } from '../util/scheduler.js'
import type { Pages } from './pages.js'
import { PingSchedule } from './ping-schedule.js'
import type { Ticket } from './tickets.js'
import { hookUpgrades, type UpgradeTaker, type Verdict } from './upgrade-hook.js'
import { acceptUpgrade, type Upgrade } from './websocket.js'

/**
 * Takes the upgrades for the WebSockets of pages: those with a valid ticket, which is all they need, so no session middleware and
 * no store is asked. Every other request below the library's routes is answered by its route.
 */
export class PageUpgrades implements UpgradeTaker {
  readonly #pages: Pages
  readonly #sessions: Sessions
  readonly #pings: PingSchedule
  readonly #unhook = new Map<Server, () => void>()
  /** Where the library's routes are mounted, as far as requests have shown. */
  readonly #bases = new Set<string>()
  /** The connections whose pages are still being opened here. */
  readonly #waiting = new Set<Duplex>()
  #isClosed = false

  /** @param heartbeat milliseconds between two pings */
  constructor(pages: Pages, sessions: Sessions, heartbeat: number) {
    this.#pages = pages
    this.#sessions = sessions
    this.#pings = new PingSchedule(sessions.deadlines, heartbeat)
  }

  /** Takes part in the upgrades of a server until it closes. A second call does nothing. */
  attach(server: Server): void {
    if (this.#isClosed || this.#unhook.has(server)) return
    this.#unhook.set(server, hookUpgrades(server, this))
  }

  released(server: Server): void {
    this.#unhook.delete(server)
  }

  /** @param base the path before the library's routes, with that of the router they are mounted on */
  addBase(base: string): void {
    if (this.#bases.size < MAX_BASES) this.#bases.add(base)
  }

  /** Leaves all servers. Open sockets are closed when their sessions end. */
  close(): void {
    this.#isClosed = true
    for (const connection of this.#waiting) this.#giveUp(connection, 503)
    for (const unhook of this.#unhook.values()) unhook()
    this.#unhook.clear()
  }

  judge(req: IncomingMessage): Verdict {
    const address = parse(req)
    if (address === undefined) return undefined
    const isAdmitted = typeof this.#ticketOf(address) === 'object'
    if (isAdmitted && asksForWebSocket(req) && isFree(req)) return 'take'
    return this.#bases.has(address.base) ? 'plain' : undefined
  }

  take(...upgrade: Upgrade): void {
    const [req, connection] = upgrade
    const { sealed = '' } = parse(req) ?? {}
    const ticket = this.#pages.findTicket(sealed)
    if (ticket === undefined) {
      connection.destroy()
      return
    }
    const page = this.#pages.useTicket(ticket)
    if (page === undefined) void this.#takeOver(sealed, ticket, upgrade)
    else acceptUpgrade(upgrade, page, this.#pings)
  }

  /** The status for a request that should have opened a socket but came as a plain one; 426 where all else is right. */
  statusOf(req: IncomingMessage): number {
    if (this.#isClosed) return 503
    const address = asksForWebSocket(req) ? parse(req) : undefined
    const ticket = address && this.#ticketOf(address)
    return typeof ticket === 'number' ? ticket : 426
  }

  /** The ticket of a request, or the status of the response if it doesn't admit the request. */
  #ticketOf({ page, epoch, sealed }: SocketAddress): Ticket | number {
    const ticket = this.#pages.findTicket(sealed)
    if (ticket === undefined) return 401
    if (ticket.page !== page || String(ticket.epoch) !== epoch) return 409
    return ticket
  }

  /** Opens here a page that another node has had until now. */
  async #takeOver(sealed: string, ticket: Ticket, upgrade: Upgrade): Promise<void> {
    const [, connection] = upgrade
    const { deadlines, hooks } = this.#sessions
    const destroy = () => connection.destroy()
    const limit = new Deadline(() => this.#giveUp(connection, 503))
    connection.on('error', destroy)
    this.#waiting.add(connection)
    deadlines.schedule(limit, MAX_TAKEOVER)
    try {
      const page = await this.#pages.takeOver(sealed, ticket)
      // A connection that was lost meanwhile is a failed handshake, after which the page sends beats. It hasn't left.
      if (!this.#waiting.has(connection) || connection.destroyed) return
      page.expectOpen(ticket.epoch)
      connection.off('error', destroy)
      acceptUpgrade(upgrade, page, this.#pings)
    } catch (error) {
      if (!(error instanceof GradioStateError)) hooks.report(error, { source: 'cluster' })
      this.#giveUp(connection, statusFor(error))
    } finally {
      deadlines.cancel(limit)
      this.#waiting.delete(connection)
    }
  }

  /** Answers with an error, unless that was done before. Node.js has given the connection away, so this is by hand. */
  #giveUp(connection: Duplex, status: number): void {
    if (!this.#waiting.delete(connection)) return
    const { deadlines } = this.#sessions
    const limit = new Deadline(() => connection.destroy())
    deadlines.schedule(limit, MAX_REFUSAL)
    connection.once('close', () => deadlines.cancel(limit))
    // What the peer still sends is read, otherwise its end would not be seen.
    connection.resume()
    connection.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    )
  }
}

/** The URL of a page's socket. */
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

function asksForWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

/** Whether nothing else uses the request's connection: no response is pending on it, and the request has no body. */
function isFree({ headers, socket }: IncomingMessage): boolean {
  // The response whose turn it is: `ServerResponse.assignSocket` sets it (Node.js, lib/_http_server.js).
  const { _httpMessage: pending } = socket as Socket & { _httpMessage?: ServerResponse | null }
  const hasBody = 'transfer-encoding' in headers || Number(headers['content-length'] ?? 0) !== 0
  return !pending && !hasBody
}

function statusFor(error: unknown): number {
  if (!(error instanceof GradioStateError)) return 503
  return error.code === 'PAGE_UNKNOWN' ? 401 : error.status
}

const MAX_BASES = 64
/** How long the other node, or Redis, may take to hand over a page; milliseconds. */
const MAX_TAKEOVER = 10_000
/** How long the peer may take to read a refusal; milliseconds. Closed at once, the connection could lose it (RFC 9112 §9.6). */
const MAX_REFUSAL = 1_000
