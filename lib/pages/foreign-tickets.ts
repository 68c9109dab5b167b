/**
 * Detects that another process answers some requests of the same pages, although the sessions aren't shared: sockets arrive here with
 * tickets that this process has not issued, at a time when it issued tickets itself. With sticky sessions, a page's heartbeat and its
 * socket reach the same process. After a restart, the tickets of the previous process are older, or arrive only for a short time.
 */
export class ForeignTickets {
  /** When this process issued its first ticket, and when the last foreign one that counted was issued; milliseconds since the epoch. */
  #servingSince = Number.POSITIVE_INFINITY
  #lastIssuedAt = Number.NEGATIVE_INFINITY
  #count = 0
  readonly #warn: () => void

  constructor(warn: () => void) {
    this.#warn = warn
  }

  noteOwn(issuedAt: number): void {
    this.#servingSince = Math.min(this.#servingSince, issuedAt)
  }

  /** A socket was refused because its ticket can't be decrypted. */
  noteForeign(issuedAt: number): void {
    if (issuedAt <= this.#servingSince || issuedAt < this.#lastIssuedAt + INTERVAL) return
    this.#lastIssuedAt = issuedAt
    this.#count++
    if (this.#count === ENOUGH) this.#warn()
  }
}

/** While a process is replaced, both may answer requests. Three tickets, with this time between them, show that both stay; milliseconds. */
const INTERVAL = 15_000
const ENOUGH = 3
