import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'

/** Takes an upgrade that is its own; `false` leaves it to others. */
export type UpgradeTaker = (req: IncomingMessage, socket: Duplex, head: Buffer) => boolean

const guests = new WeakMap<Server, UpgradeGuest>()

/**
 * Has `take` asked about each upgrade at `server`, before anybody else. Returns what takes it back.
 */
export function takeUpgrades(server: Server, take: UpgradeTaker): () => void {
  let guest = guests.get(server)
  if (guest === undefined) {
    guest = new UpgradeGuest(server)
    guests.set(server, guest)
  }
  const host = guest
  host.takers.add(take)
  return () => {
    host.takers.delete(take)
    if (host.takers.size > 0 || guests.get(server) !== host) return
    host.leave()
    guests.delete(server)
  }
}

/**
 * A guest at a server that may have WebSocket libraries of its own. Libraries answer 400 to an upgrade that isn't
 * theirs, so ours must not be emitted at all; and the mere presence of an `upgrade` listener makes Node.js treat a
 * request such as `curl --http2`'s offer of h2c as an upgrade, where it would otherwise ignore the offer.
 */
class UpgradeGuest {
  readonly takers = new Set<UpgradeTaker>()
  readonly #server: Server
  readonly #emitBefore: Server['emit']
  readonly #emit: Server['emit']

  constructor(server: Server) {
    this.#server = server
    this.#emitBefore = server.emit
    const guest = this
    // Each request is emitted too: what is only passed on makes no array of its own.
    this.#emit = function (this: Server, ...args: unknown[]): boolean {
      if (args[0] === 'upgrade' && guest.#isTaken(args.slice(1) as Parameters<UpgradeTaker>)) return true
      return guest.#emitBefore.apply(this, args as never)
    } as Server['emit']
    server.emit = this.#emit
    server.on('upgrade', this.#onForeign)
  }

  leave(): void {
    this.#server.off('upgrade', this.#onForeign)
    // Somebody may have wrapped it again; then ours stays below theirs, and passes everything on.
    if (this.#server.emit === this.#emit) this.#server.emit = this.#emitBefore
  }

  #isTaken(upgrade: Parameters<UpgradeTaker>): boolean {
    for (const take of this.takers) if (take(...upgrade)) return true
    return false
  }

  readonly #onForeign = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (this.#server.listenerCount('upgrade') === 1) replay(this.#server, req, socket as Socket, head)
  }
}

/**
 * Hands the request to the server once more as the plain request that it would have been without our listener. A
 * connection may be given to an HTTP server by emitting the event (Node.js docs, `http.Server`, event 'connection').
 */
function replay(server: Server, req: IncomingMessage, socket: Socket, head: Buffer): void {
  const lines = [`${req.method} ${req.url} HTTP/${req.httpVersion}`]
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i] as string
    if (name.toLowerCase() !== 'upgrade') lines.push(`${name}: ${req.rawHeaders[i + 1]}`)
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
  afterAnswers(socket, () => {
    server.emit((socket as TLSSocket).encrypted ? 'secureConnection' : 'connection', socket)
  })
}

/**
 * Runs `task` when the requests that came before on this connection are answered. Node.js keeps their order in a list of each
 * 'connection' event, so an answer that belongs to the next event would never get its turn.
 */
function afterAnswers(socket: Socket & { _httpMessage?: ServerResponse | null }, task: () => void): void {
  // Whose turn it is, as `ServerResponse.assignSocket` notes it (lib/_http_server.js).
  const answer = socket._httpMessage
  if (!answer) {
    task()
    return
  }
  // At an upgrade Node.js takes away the listeners of its own that did these.
  const drain = () => answer.emit('drain')
  const fail = () => socket.destroy()
  socket.on('drain', drain).on('error', fail)
  answer.once('finish', () => {
    socket.off('drain', drain).off('error', fail)
    // The time that a connection may be idle has begun with the answer.
    socket.setTimeout(0)
    if (!socket.writableEnded && !socket.destroyed) afterAnswers(socket, task)
  })
}
