import type { RequestContext } from './host.js'

/**
 * Whether somebody logs out, or in over somebody else, as the host session is regenerated: then nothing may be carried
 * over. Passport 0.7 sets `req.user` to null before it regenerates at a logout, and keeps who is logged in under this name.
 */
export function changesUser({ user, session }: RequestContext): boolean {
  // An app may have unset the session before it asks the store for the next one.
  const { passport } = (session ?? {}) as { passport?: { user?: unknown } }
  return user === null || passport?.user !== undefined
}
