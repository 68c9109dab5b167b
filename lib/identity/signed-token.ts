import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/**
 * Creates and verifies the tokens that a browser stores itself (own cookie, cookie sessions). The signature lets a token outlive its
 * session: parallel requests of a page that slept through the grace period begin one new session together, while a token from
 * elsewhere is never accepted (session fixation).
 */
export class TokenSigner {
  readonly #secret: () => Buffer
  /** A node that connects to Redis late changes its secret once. Tokens signed with the first one stay valid here. */
  readonly #first: Buffer

  /** @param secret returns the secret that all nodes of the cluster share */
  constructor(secret: () => Buffer) {
    this.#secret = secret
    this.#first = Buffer.from(secret())
  }

  create(): string {
    const random = randomBytes(BYTES)
    return PREFIX + Buffer.concat([random, signatureOf(this.#secret(), random)]).toString('base64url')
  }

  /** Returns the token if this process or another node of the cluster has signed it. */
  verify(token: unknown): string | undefined {
    if (typeof token !== 'string' || !token.startsWith(PREFIX)) return undefined
    const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url')
    if (bytes.length !== 2 * BYTES || !this.#isSigned(bytes)) return undefined
    // Several base64 strings decode to the same bytes. Only the canonical one is a token.
    return PREFIX + bytes.toString('base64url') === token ? token : undefined
  }

  #isSigned(bytes: Buffer): boolean {
    const [random, marked] = [bytes.subarray(0, BYTES), bytes.subarray(BYTES)]
    const secret = this.#secret()
    if (timingSafeEqual(marked, signatureOf(secret, random))) return true
    return !secret.equals(this.#first) && timingSafeEqual(marked, signatureOf(this.#first, random))
  }
}

function signatureOf(secret: Buffer, random: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(random).digest().subarray(0, BYTES)
}

const BYTES = 16
/** Distinguishes signed tokens from others, such as the hash of a framework session's id. */
const PREFIX = 'm.'
