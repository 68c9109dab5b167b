import type { RequestContext } from './request-context.js'

/**
 * Whether a regeneration of the framework session is a logout, or a login while another user is logged in: then no state may pass to
 * the new session. At a logout, Passport 0.7 sets `req.user` to null before it regenerates. It stores the user who is logged in
 * as `session.passport`.
 */
export function changesUser({ user, session }: RequestContext): boolean {
  // An app may have set `req.session` to null before it regenerates.
  const { passport } = (session ?? {}) as { passport?: { user?: unknown } }
  return user === null || passport?.user !== undefined
}
