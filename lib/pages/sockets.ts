import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { GradioStateError } from '../errors.js'
import type { MaybePromise } from '../sessions/engine.js'
import type { Sessions } from '../sessions/sessions.js'
import { isThenable } from '../util/thenable.js'
import { Beats } from './beats.js'
import { refuse, shakeHands } from './handshake.js'
import { isSameHost } from './origin.js'
import type { Page } from './page.js'
import type { Pages } from './pages.js'
import { hashOrigin, type Ticket } from './tickets.js'
import { takeUpgrades } from './upgrades.js'
import { SocketConnection } from './websocket.js'

/** The WebSockets of our client. The handshake needs the ticket alone: no session middleware, and no store. */
export class Sockets {
  readonly #pages: Pages
  readonly #manager: Sessions
  readonly #beats: Beats
  readonly #detach = new Map<Server, () => void>()
  /** Where the library's routes were seen to be: an upgrade below one of these is ours, with or without a ticket. */
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
    for (const socket of this.#waiting) refuse(socket, 503)
    this.#waiting.clear()
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
    const sealed = parameters.get('ticket') ?? ''
    const ticket = this.#pages.findTicket(sealed)
    if (ticket === undefined) {
      if (!this.#bases.has(base)) return false
      refuse(socket, 401)
    } else if (ticket.page !== id || String(ticket.epoch) !== parameters.get('n')) {
      refuse(socket, 409)
    } else if (!isOriginOf(ticket, req)) {
      refuse(socket, 403)
    } else {
      void this.#admit(() => this.#pages.admit(sealed, ticket), [req, socket, head])
    }
    return true
  }

  /** @param admit gives the page, at once where this node has it: a slow handshake holds up the browser's other tabs */
  async #admit(admit: () => MaybePromise<Page>, upgrade: Upgrade): Promise<void> {
    const [, socket] = upgrade
    const fail = () => socket.destroy()
    socket.on('error', fail)
    this.#waiting.add(socket)
    try {
      const admitted = admit()
      const page = isThenable(admitted) ? await admitted : admitted
      // A socket that was lost meanwhile is no leaving: the page goes on by its beats, as with any failed handshake.
      if (!this.#waiting.has(socket) || socket.destroyed) return
      socket.off('error', fail)
      this.#accept(page, upgrade)
    } catch (error) {
      this.#fail(error, socket)
    } finally {
      this.#waiting.delete(socket)
    }
  }

  #accept(page: Page, [req, socket, head]: Upgrade): void {
    if (!shakeHands(req, socket)) return
    if (head.length > 0) socket.unshift(head)
    new SocketConnection(socket, page, this.#beats)
  }

  #fail(error: unknown, socket: Duplex): void {
    if (!this.#waiting.has(socket)) return
    const isOurs = error instanceof GradioStateError
    if (!isOurs) this.#manager.hooks.report(error, { source: 'engine' })
    if (isOurs) refuse(socket, error.code === 'PAGE_UNKNOWN' ? 401 : error.status)
    else refuse(socket, 503)
  }
}

type Upgrade = [req: IncomingMessage, socket: Duplex, head: Buffer]

/** The page that was given the ticket opens the socket; where that one told no origin, the host is compared. */
function isOriginOf(ticket: Ticket, req: IncomingMessage): boolean {
  const { origin } = req.headers
  if (origin === undefined) return true
  return ticket.origin === undefined ? isSameHost(req, origin) : ticket.origin === hashOrigin(origin)
}

const MOST_BASES = 64
