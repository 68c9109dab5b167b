import { createHash } from 'node:crypto'

// Tokens made of what tells users apart already. 128 bits do that for as many as there may be, and each session keeps
// its token, with Redis also in the keys there. The two kinds are of different halves: whatever the app calls a user,
// it is never the token of somebody's host session.

/** The token of a user that the app tells by itself. */
export function tokenOfUser(name: string): string {
  return hash(name).toString('base64url', 0, 16)
}

/** The token of a host session, by its id. */
export function tokenOfHostSession(id: string): string {
  return hash(id).toString('base64url', 16, 32)
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
