import { createHash } from 'node:crypto'

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
