import type { EntryInit, SessionInit } from './entry.js'
import { scopeToken } from './scopes.js'
import type { Session } from './session.js'
import type { Entry } from './session-entry.js'
import type { Sessions } from './sessions.js'
import { usable } from './value-access.js'

/** The scope of a session with that key, if it exists in this process. */
export function findScope(sessions: Sessions, session: Session, key: string): Session | undefined {
  return session.ended === undefined ? sessions.find(scopeToken(session.token, key)) : undefined
}

/**
 * Enters a scope for a request or page that is in the scope's session. Starts the scope if there is none.
 * @throws GradioStateError `SESSION_ENDED`, `TOO_MANY_SCOPES`
 */
export function enterScope(sessions: Sessions, entry: Entry, key: string): Entry {
  const { token } = usable(entry.session)
  const entered = sessions.enter(scopeToken(token, key), initOf(entry), NO_INFO)
  entry.addScope(entered)
  return entered
}

/** Like {@link enterScope}, for callers that can wait for the cluster. */
export async function enterScopeLater(sessions: Sessions, entry: Entry, key: string): Promise<Entry> {
  const { token } = usable(entry.session)
  const entered = await (sessions.cluster ?? sessions).enter(scopeToken(token, key), initOf(entry), NO_INFO)
  entry.addScope(entered)
  return entered
}

/** Enters a scope if it exists, even if only another node of the cluster has it. */
export async function findScopeLater(
  sessions: Sessions,
  entry: Entry,
  key: string,
): Promise<Entry | undefined> {
  const { token } = usable(entry.session)
  const entered = await (sessions.cluster ?? sessions).enter(scopeToken(token, key), initOf(entry))
  if (entered !== undefined) entry.addScope(entered)
  return entered
}

/** The scope of a session with that key. Starts it if there is none, like a request that is over at once. */
export function useScope(sessions: Sessions, session: Session, key: string): Session {
  const token = scopeToken(usable(session).token, key)
  const known = sessions.find(token)
  if (known !== undefined) return known
  const entry = sessions.enter(token, { kind: 'request' }, NO_INFO)
  entry.leave()
  return entry.session
}

/** After a navigation, a page is expected in the session, but not in its scopes. */
function initOf({ page, isReconnect }: Entry): EntryInit {
  return page === undefined ? { kind: 'request' } : { kind: 'page', page, isReconnect }
}

/** A scope has the `info` of its session. */
const NO_INFO: SessionInit = { info: undefined }
