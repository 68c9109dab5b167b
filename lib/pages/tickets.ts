import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '../util/clock.js'

/** What admits one socket to a page, on any node. */
export interface Ticket {
  /** The session's. */
  readonly token: string
  readonly page: string
  readonly epoch: number
  /** The origin of the page that was given the ticket, hashed: it may be long. */
  readonly origin: string | undefined
}

/**
 * Tickets are sealed with what all nodes know, since another node than the one that has issued a ticket may get its
 * socket, and since scripts in the page read it while the token in it is a credential.
 */
export class Tickets {
  readonly #secret: () => Buffer
  readonly #clock: Clock
  /** Tells this node's tickets from those of others. */
  readonly #issuer = randomBytes(6).toString('base64url')
  /** Tickets of others that were used here, by their times; the earliest first. */
  readonly #spent = new Map<string, number>()

  constructor(secret: () => Buffer, clock: Clock) {
    this.#secret = secret
    this.#clock = clock
  }

  seal({ token, page, epoch, origin }: Ticket): string {
    const content: Content = [this.#issuer, this.#clock.wall(), token, page, epoch, origin ?? null]
    const nonce = randomBytes(NONCE)
    const cipher = createCipheriv(CIPHER, this.#key(), nonce)
    const sealed = [nonce, cipher.update(JSON.stringify(content)), cipher.final(), cipher.getAuthTag()]
    return Buffer.concat(sealed).toString('base64url')
  }

  /** The ticket, if a node has sealed it just now. */
  open(sealed: string): (Ticket & { readonly isOwn: boolean }) | undefined {
    const content = sealed.length <= LONGEST ? this.#decipher(Buffer.from(sealed, 'base64url')) : undefined
    if (content === undefined) return undefined
    const [issuer, issuedAt, token, page, epoch, origin] = content
    // The clocks of two nodes differ, in either direction.
    if (Math.abs(this.#clock.wall() - issuedAt) > VALID) return undefined
    return { token, page, epoch, origin: origin ?? undefined, isOwn: issuer === this.#issuer }
  }

  /** Uses another node's ticket up; `false` when it was before. */
  spend(sealed: string): boolean {
    // Base64 has more than one spelling of the same bytes.
    const key = Buffer.from(sealed, 'base64url').toString('base64url')
    const now = this.#clock.wall()
    for (const [spent, at] of this.#spent) {
      // One from a clock that is ahead is valid for that much longer.
      if (now - at <= 2 * VALID) break
      this.#spent.delete(spent)
    }
    if (this.#spent.has(key)) return false
    this.#spent.set(key, now)
    return true
  }

  #decipher(bytes: Buffer): Content | undefined {
    if (bytes.length <= NONCE + TAG) return undefined
    try {
      const decipher = createDecipheriv(CIPHER, this.#key(), bytes.subarray(0, NONCE), { authTagLength: TAG })
      decipher.setAuthTag(bytes.subarray(-TAG))
      const text = Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()])
      return JSON.parse(text.toString()) as Content
    } catch {
      return undefined
    }
  }

  /** Not the secret itself, which marks tokens too. */
  #key(): Buffer {
    return createHmac('sha256', this.#secret()).update('ticket').digest()
  }
}

export function hashOrigin(origin: string): string {
  return createHash('sha256').update(origin).digest('base64url').slice(0, 22)
}

type Content = [
  issuer: string,
  issuedAt: number,
  token: string,
  page: string,
  epoch: number,
  origin: string | null,
]

const CIPHER = 'aes-256-gcm'
const NONCE = 12
const TAG = 16
const LONGEST = 1_024
/** How long a page may take to open its socket after the answer to its heartbeat; milliseconds. */
const VALID = 30_000
