import { createHash, randomBytes } from 'node:crypto'

// Tokens derived from an id that already identifies the user. 128 bits are enough, and each session keeps its token in memory and,
// in a cluster, in Redis keys. The two kinds use different halves of the hash, so that no user id chosen by the app can
// produce the token of a framework session.

/** The token for a user id that `identify()` returned. */
export function tokenOfUser(name: string): string {
  return hash(name).toString('base64url', 0, 16)
}

/** The token for a framework session's id. */
export function tokenOfFrameworkSession(id: string): string {
  return hash(id).toString('base64url', 16, 32)
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** A new random token, for a cookie or a session that the browser stores itself. */
export function randomToken(): string {
  return PREFIX + randomBytes(BYTES).toString('base64url')
}

/**
 * Returns a token that a browser has sent, if it is well-formed. It need not be known: a token outlives its session, a restart of the
 * server, and may come from another app on the same host. A client that sends an unknown token starts its own session.
 */
export function wellFormedToken(value: unknown): string | undefined {
  return typeof value === 'string' && WELL_FORMED.test(value) ? value : undefined
}

/** Whether the token was read from a cookie, not derived from an id. */
export function isRandomToken(token: string): boolean {
  return token.startsWith(PREFIX)
}

const BYTES = 16
/** Distinguishes random tokens from derived ones, which can be computed from a user's id. */
const PREFIX = 'm.'
/** At least 128 bits, in base64url. */
const WELL_FORMED = /^m\.[\w-]{22,64}$/
