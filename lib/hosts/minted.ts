import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/**
 * Tokens for places that the browser holds itself. A random token alone would do for what lives; the mark of this
 * process lets one outlive its session, so that parallel requests of a page that slept through the grace period
 * begin one new life together, while a token from elsewhere is still never adopted (session fixation).
 */
export function mint(): string {
  const random = randomBytes(BYTES)
  return PREFIX + Buffer.concat([random, mark(random)]).toString('base64url')
}

/** The token, if this process minted it. */
export function minted(token: unknown): string | undefined {
  if (typeof token !== 'string' || !token.startsWith(PREFIX)) return undefined
  const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url')
  if (bytes.length !== 2 * BYTES || !timingSafeEqual(bytes.subarray(BYTES), mark(bytes.subarray(0, BYTES)))) {
    return undefined
  }
  // Base64 has more than one spelling of the same bytes; only the one that was given out names a session.
  return PREFIX + bytes.toString('base64url') === token ? token : undefined
}

function mark(random: Uint8Array): Buffer {
  return createHmac('sha256', KEY).update(random).digest().subarray(0, BYTES)
}

const BYTES = 16
/** Keeps these apart from tokens of other origin, such as the hash of a host session's id. */
const PREFIX = 'm.'
const KEY = randomBytes(32)
