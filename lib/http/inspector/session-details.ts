import type { Config } from '../../options.js'
import { SessionPages } from '../../pages/session-pages.js'
import type { Session } from '../../sessions/session.js'
import type { Sessions } from '../../sessions/sessions.js'
import type { InstanceContext } from '../instance.js'
import type { Connections, FileRow, Limit, ScopeRow, SessionDetails } from './data.js'
import { limit } from './limits.js'
import type { Describe } from './options.js'
import { dueOf, type Moment, rowOf, scopeName, valuesOf } from './session-rows.js'
import { messageOf, textOf } from './texts.js'

/** Finds a session by its id, including one that is ending. */
export function findSession({ registry }: Sessions, id: string): Session | undefined {
  return registry.findById(id) ?? registry.ending.find(session => session.id === id)
}

/** Everything about one session except the contents of its values, which only `describe` may reveal. */
export async function detailsOf(
  session: Session,
  moment: Moment,
  { config, sessions }: InstanceContext,
  describe: Describe | undefined,
): Promise<SessionDetails> {
  const { presence } = session
  return {
    row: rowOf(session, moment),
    reason: session.ended ?? null,
    phase: presence.phase,
    loads: presence.load,
    connections: connectionsOf(session, moment.now),
    requests: presence.requests + presence.navigations,
    limits: limitsOf(session, moment, config),
    due: dueOf(session, moment.now),
    scopes: scopesOf(session, moment),
    parent: session.parent?.id ?? null,
    values: valuesOf(session, moment.now),
    files: filesOf(session, moment),
    description: describe === undefined ? null : await describeSession(session, describe, sessions, config),
  }
}

/** The scopes of a session, including those that are ending. */
function scopesOf({ scopes }: Session, moment: Moment): ScopeRow[] {
  return (scopes?.all ?? []).slice(-MAX_SCOPES).map(scope => {
    const { id, status, values, next } = rowOf(scope, moment)
    return { id, status, values, next, name: scopeName(scope) }
  })
}

/** Without the ids of pages: with such an id and the cookie, anyone could send the goodbye of a page. */
function connectionsOf(session: Session, now: number): Connections {
  const { presence, pagesElsewhere } = session
  const open = SessionPages.of(session)?.open ?? []
  const sockets = open.filter(page => page.hasSocket).length
  return {
    sockets,
    heartbeats: open.length - sockets,
    tracked: Math.max(presence.pages - open.length, 0),
    expected: presence.expected(now).length,
    elsewhere: pagesElsewhere,
  }
}

function limitsOf({ id }: Session, { cache }: Moment, config: Config): Limit[] {
  const files = cache.peek(id)
  return [
    limit('Bytes of files', 'maxSessionBytes', 'bytes', files?.bytes ?? 0, config.maxSessionBytes),
    limit('Files', 'maxSessionFiles', 'count', files?.count ?? 0, config.maxSessionFiles),
  ]
}

function filesOf({ id }: Session, { now, cache }: Moment): FileRow[] {
  const records = cache.peek(id)?.records ?? []
  return records.slice(-MAX_FILES).map(({ name, size, createdAt, pins }) => ({
    name,
    size,
    age: Math.max(now - createdAt, 0),
    isPinned: pins > 0,
  }))
}

async function describeSession(
  session: Session,
  describe: Describe,
  { deadlines }: Sessions,
  { hookTimeout }: Config,
): Promise<string> {
  let text = `describe() has not settled within ${hookTimeout / 1000} s`
  const described = (async () => describe(session.view))().then(
    value => {
      text = textOf(value, MAX_DESCRIPTION)
    },
    error => {
      text = `describe() failed: ${messageOf(error, MAX_DESCRIPTION)}`
    },
  )
  await deadlines.within(described, hookTimeout)
  return text
}

const MAX_SCOPES = 100
/** How many files of a session are listed. They are the newest ones. */
const MAX_FILES = 100
/** In characters. */
const MAX_DESCRIPTION = 10_000
