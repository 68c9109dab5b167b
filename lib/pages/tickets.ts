import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '../util/clock.js'

/** Admits one socket to a page, on any node. */
export interface Ticket {
  /** The token of the page's session. */
  readonly token: string
  readonly page: string
  readonly epoch: number
  /** See `Page.tab`. */
  readonly tab?: string | undefined
}

/**
 * Encrypts and decrypts tickets. All nodes have the same key, since a load balancer may send the socket to another node than the one that
 * issued its ticket. Tickets are encrypted because scripts in the page can read them, and the token in them is a credential.
 */
export class Tickets {
  readonly #secret: () => Buffer
  readonly #clock: Clock
  /** Identifies the tickets of this node. */
  readonly #issuer = randomBytes(6).toString('base64url')
  /** Tickets of other nodes that were used here, and when; the earliest first. */
  readonly #used = new Map<string, number>()

  constructor(secret: () => Buffer, clock: Clock) {
    this.#secret = secret
    this.#clock = clock
  }

  seal({ token, page, epoch, tab }: Ticket): string {
    const content: Content = [this.#issuer, token, page, epoch, tab ?? null]
    const head = Buffer.alloc(HEAD)
    head.writeUIntBE(Math.floor(this.#clock.wall()), 0, TIME)
    randomBytes(NONCE).copy(head, TIME)
    const cipher = createCipheriv(CIPHER, this.#key(), head.subarray(TIME)).setAAD(head)
    const sealed = [head, cipher.update(JSON.stringify(content)), cipher.final(), cipher.getAuthTag()]
    return Buffer.concat(sealed).toString('base64url')
  }

  /**
   * Decrypts a ticket; `undefined` for an invalid or expired one.
   * @param valid for how long after its issue, in milliseconds
   */
  open(sealed: string, valid = VALID): (Ticket & { readonly isOwn: boolean }) | undefined {
    const content = this.issuedAt(sealed, valid) === undefined ? undefined : this.#decipher(sealed)
    if (content === undefined) return undefined
    const [issuer, token, page, epoch, tab] = content
    return { token, page, epoch, tab: tab ?? undefined, isOwn: issuer === this.#issuer }
  }

  /**
   * When a ticket was issued; `undefined` for one that has expired. It isn't encrypted, so that it can be read in tickets of other
   * processes, too, but only {@link open} proves it.
   */
  issuedAt(sealed: string, valid = VALID): number | undefined {
    const head = Buffer.from(sealed.slice(0, TIME_LENGTH), 'base64url')
    if (sealed.length > MAX_LENGTH || head.length < TIME) return undefined
    const at = head.readUIntBE(0, TIME)
    // The absolute value, since the clock of the other node may be ahead.
    return Math.abs(this.#clock.wall() - at) > valid ? undefined : at
  }

  /** Uses up the ticket of another node. @returns `false` if it was used here before */
  markUsed(sealed: string): boolean {
    const now = this.#clock.wall()
    for (const [used, at] of this.#used) {
      // Twice as long, since the clock of the issuing node may be ahead.
      if (now - at <= 2 * VALID) break
      this.#used.delete(used)
    }
    if (this.#used.has(sealed)) return false
    this.#used.set(sealed, now)
    return true
  }

  #decipher(sealed: string): Content | undefined {
    const bytes = Buffer.from(sealed, 'base64url')
    // Several strings decode to the same bytes. Only one of them is accepted, so that a ticket can't be used twice.
    if (bytes.toString('base64url') !== sealed || bytes.length <= HEAD + TAG) return undefined
    const head = bytes.subarray(0, HEAD)
    try {
      const decipher = createDecipheriv(CIPHER, this.#key(), head.subarray(TIME), { authTagLength: TAG })
      decipher.setAAD(head).setAuthTag(bytes.subarray(-TAG))
      const text = Buffer.concat([decipher.update(bytes.subarray(HEAD, -TAG)), decipher.final()])
      return JSON.parse(text.toString()) as Content
    } catch {
      return undefined
    }
  }

  #key(): Buffer {
    return createHmac('sha256', this.#secret()).update('ticket').digest()
  }
}

type Content = [issuer: string, token: string, page: string, epoch: number, tab: string | null]

const CIPHER = 'aes-256-gcm'
/** A ticket begins with the time at which it was issued and a nonce; in bytes. */
const TIME = 6
const NONCE = 12
const HEAD = TIME + NONCE
/** The time in base64url. */
const TIME_LENGTH = 8
const TAG = 16
const MAX_LENGTH = 1_024
/** How long a page may take to open its socket after the response to its heartbeat; milliseconds. */
const VALID = 30_000
