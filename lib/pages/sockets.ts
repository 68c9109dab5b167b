import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { GradioStateError } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import { Deadline } from '../util/scheduler.js'
import { Beats } from './beats.js'
import { refuse, shakeHands } from './handshake.js'
import { isSameHost } from './origin.js'
import type { Page } from './page.js'
import type { Pages } from './pages.js'
import { hashOrigin, type Ticket } from './tickets.js'
import { hookUpgrades, type UpgradeTaker, type Verdict } from './upgrade-hook.js'
import { SocketConnection } from './websocket.js'

/**
 * The WebSockets of our client. An upgrade is ours only with a valid ticket: that alone is needed, no session middleware and
 * no store. Any other request below one of our routes is answered by that route.
 */
export class Sockets implements UpgradeTaker {
  readonly #pages: Pages
  readonly #manager: Sessions
  readonly #beats: Beats
  readonly #detach = new Map<Server, () => void>()
  /** Where the library's routes were seen to be: below these they answer what is no good upgrade. */
  readonly #bases = new Set<string>()
  /** Those whose pages have yet to be opened here. */
  readonly #waiting = new Set<Duplex>()
  #isClosed = false

  /** @param heartbeat milliseconds between two beats */
  constructor(pages: Pages, manager: Sessions, heartbeat: number) {
    this.#pages = pages
    this.#manager = manager
    this.#beats = new Beats(manager.deadlines, heartbeat)
  }

  /** Takes part in the upgrades of a server until it closes; attaching twice is once. */
  attach(server: Server): void {
    if (this.#isClosed || this.#detach.has(server)) return
    this.#detach.set(server, hookUpgrades(server, this))
  }

  released(server: Server): void {
    this.#detach.delete(server)
  }

  /** Notes where the routes are, as the router that they are mounted on has it. */
  seeBase(base: string): void {
    if (this.#bases.size < MOST_BASES) this.#bases.add(base)
  }

  /** Leaves all servers. The sockets themselves are closed as their sessions end. */
  close(): void {
    this.#isClosed = true
    for (const socket of this.#waiting) this.#giveUp(socket)
    for (const detach of this.#detach.values()) detach()
    this.#detach.clear()
  }

  judge(req: IncomingMessage): Verdict {
    const wanted = read(req)
    if (wanted === undefined) return undefined
    const isGood = typeof this.#ticketOf(wanted, req) === 'object'
    if (isGood && asksForWebSocket(req) && isFree(req)) return 'take'
    return this.#bases.has(wanted.base) ? 'plain' : undefined
  }

  take(...upgrade: Upgrade): void {
    const [req, socket] = upgrade
    const { sealed = '' } = read(req) ?? {}
    const ticket = this.#pages.findTicket(sealed)
    if (ticket === undefined) {
      socket.destroy()
      return
    }
    const page = this.#pages.useTicket(ticket)
    if (page !== undefined) this.#accept(page, upgrade)
    else void this.#admit(sealed, ticket, upgrade)
  }

  /** What a request for a socket is answered that comes as a plain one; 426 when nothing else is wrong with it. */
  statusOf(req: IncomingMessage): number {
    if (this.#isClosed) return 503
    const wanted = asksForWebSocket(req) ? read(req) : undefined
    const ticket = wanted && this.#ticketOf(wanted, req)
    return typeof ticket === 'number' ? ticket : 426
  }

  /** The ticket that a request comes with, or the status of the answer when it is no good. */
  #ticketOf({ page, epoch, sealed }: Wanted, req: IncomingMessage): Ticket | number {
    const ticket = this.#pages.findTicket(sealed)
    if (ticket === undefined) return 401
    if (ticket.page !== page || String(ticket.epoch) !== epoch) return 409
    return isOriginOf(ticket, req) ? ticket : 403
  }

  /** The page has been on another node until now. */
  async #admit(sealed: string, ticket: Ticket, upgrade: Upgrade): Promise<void> {
    const [, socket] = upgrade
    const { deadlines, hooks } = this.#manager
    const fail = () => socket.destroy()
    const limit = new Deadline(() => this.#giveUp(socket))
    socket.on('error', fail)
    this.#waiting.add(socket)
    deadlines.schedule(limit, LONGEST_ADMISSION)
    try {
      const page = await this.#pages.takeOver(sealed, ticket)
      // A socket that was lost meanwhile is no leaving: the page goes on by its beats, as with any failed handshake.
      if (!this.#waiting.has(socket) || socket.destroyed) return
      page.expectOpen(ticket.epoch)
      socket.off('error', fail)
      this.#accept(page, upgrade)
    } catch (error) {
      if (!(error instanceof GradioStateError)) hooks.report(error, { source: 'engine' })
      this.#giveUp(socket, statusOf(error))
    } finally {
      deadlines.cancel(limit)
      this.#waiting.delete(socket)
    }
  }

  #accept(page: Page, [req, socket, head]: Upgrade): void {
    if (!shakeHands(req, socket, this.#manager.deadlines)) return
    if (head.length > 0) socket.unshift(head)
    new SocketConnection(socket, page, this.#beats)
  }

  /** Refuses a socket whose page couldn't be opened here, or not in time. */
  #giveUp(socket: Duplex, status = 503): void {
    if (this.#waiting.delete(socket)) refuse(socket, status, this.#manager.deadlines)
  }
}

type Upgrade = [req: IncomingMessage, socket: Duplex, head: Buffer]

/** What the URL of a page's socket says. */
interface Wanted {
  readonly base: string
  readonly page: string
  readonly epoch: string | null
  readonly sealed: string
}

function read({ url = '' }: IncomingMessage): Wanted | undefined {
  const found = /^([^?#]*)\/heartbeat\/([\w-]{1,64})(?:\?(.*))?$/.exec(url)
  if (found === null) return undefined
  const [, base = '', page = '', query = ''] = found
  const parameters = new URLSearchParams(query)
  return { base, page, epoch: parameters.get('n'), sealed: parameters.get('ticket') ?? '' }
}

function asksForWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

/** Whether the connection is the request's alone: no answer is pending there, and no body is on its way. */
function isFree({ headers, socket }: IncomingMessage): boolean {
  // The response whose turn it is, as `ServerResponse.assignSocket` notes it (Node.js, lib/_http_server.js).
  const { _httpMessage: pending } = socket as Socket & { _httpMessage?: ServerResponse | null }
  const hasBody = 'transfer-encoding' in headers || Number(headers['content-length'] ?? 0) !== 0
  return !pending && !hasBody
}

/** What a socket is answered whose page couldn't be opened. */
function statusOf(error: unknown): number {
  if (!(error instanceof GradioStateError)) return 503
  return error.code === 'PAGE_UNKNOWN' ? 401 : error.status
}

/** The page that was given the ticket opens the socket; where that one told no origin, the host is compared. */
function isOriginOf(ticket: Ticket, req: IncomingMessage): boolean {
  const { origin } = req.headers
  if (origin === undefined) return true
  return ticket.origin === undefined ? isSameHost(req, origin) : ticket.origin === hashOrigin(origin)
}

const MOST_BASES = 64
/** How long another node, or Redis, may take to hand over the page; milliseconds. */
const LONGEST_ADMISSION = 10_000
