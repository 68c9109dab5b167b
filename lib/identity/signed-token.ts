import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/**
 * Makes tokens for places that the browser holds itself. A random token alone would do for what lives; the mark lets one
 * outlive its session, so that parallel requests of a page that slept through the grace period begin one new life
 * together, while a token from elsewhere is still never adopted (session fixation).
 */
export class Mint {
  readonly #secret: () => Buffer
  /** A node that reaches Redis late changes its secret once; what was marked before stays good here. */
  readonly #first: Buffer

  /** @param secret gives what all nodes know, and nobody else */
  constructor(secret: () => Buffer) {
    this.#secret = secret
    this.#first = Buffer.from(secret())
  }

  mint(): string {
    const random = randomBytes(BYTES)
    return PREFIX + Buffer.concat([random, mark(this.#secret(), random)]).toString('base64url')
  }

  /** The token, if this process or another node has minted it. */
  minted(token: unknown): string | undefined {
    if (typeof token !== 'string' || !token.startsWith(PREFIX)) return undefined
    const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url')
    if (bytes.length !== 2 * BYTES || !this.#isMarked(bytes)) return undefined
    // Base64 has more than one spelling of the same bytes; only the one that was given out names a session.
    return PREFIX + bytes.toString('base64url') === token ? token : undefined
  }

  #isMarked(bytes: Buffer): boolean {
    const [random, marked] = [bytes.subarray(0, BYTES), bytes.subarray(BYTES)]
    const secret = this.#secret()
    if (timingSafeEqual(marked, mark(secret, random))) return true
    return !secret.equals(this.#first) && timingSafeEqual(marked, mark(this.#first, random))
  }
}

function mark(secret: Buffer, random: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(random).digest().subarray(0, BYTES)
}

const BYTES = 16
/** Keeps these apart from tokens of other origin, such as the hash of a host session's id. */
const PREFIX = 'm.'
