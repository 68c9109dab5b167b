import type { Deadlines } from '../util/scheduler.js'
import type { ClaimWorker } from './claim-worker.js'
import type { ClusterScopes } from './cluster-scopes.js'
import type { ClusterShares } from './cluster-shares.js'
import type { CoordinatorEvents } from './coordinator.js'
import type { Hooks } from './hooks.js'
import type { Lifecycle } from './lifecycle.js'
import type { Session } from './session.js'

/** What the events need from this process's sessions. */
export interface EventsContext {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly lifecycle: Lifecycle
  findById(id: string): Session | undefined
  /** Reschedules the session's next deadline. */
  arm(session: Session): void
  /** The framework session of the session has expired. */
  noteExpiry(session: Session, endIn: number): void
}

/** Applies the coordinator's events to this process's sessions. */
export function clusterEvents(
  context: EventsContext,
  worker: ClaimWorker,
  shares: ClusterShares,
  scopes: ClusterScopes,
): CoordinatorEvents {
  const { deadlines } = context
  const forSession = (id: string, handle: (session: Session) => void) => {
    const session = context.findById(id)
    if (session === undefined) return
    handle(session)
    context.arm(session)
  }
  // An entry on another node counts as a return, too.
  const forReturned = (id: string, handle: (session: Session) => void) =>
    forSession(id, session => {
      session.noteReturn()
      handle(session)
    })
  return {
    due: ms => worker.noteDue(ms),
    loaded: (id, load, hadPage, runHooks) =>
      forReturned(id, session => {
        const { presence } = session
        const isNewLoad = presence.loadedElsewhere(load, hadPage, deadlines.now)
        if (runHooks) context.lifecycle.load(session)
        else if (isNewLoad) session.beginLoad()
        if (presence.keepLoaded(deadlines.now)) void shares.report(session)
        scopes.loadAgain(session)
      }),
    runLoadHooks: (id, load) => forSession(id, session => context.lifecycle.runLoadHooks(session, load)),
    unloaded: (id, load) =>
      forSession(id, session => {
        const { presence } = session
        if (presence.phase !== 'loaded' || presence.load > load) return
        presence.unloadedElsewhere()
        scopes.unload(session)
        session.endLoad()
      }),
    ended: (id, reason) => forSession(id, session => void worker.end(session, reason, undefined)),
    expired: (id, endIn) => forSession(id, session => context.noteExpiry(session, endIn)),
    pageConnected: (id, isExpectedHere) =>
      forReturned(id, ({ presence }) => presence.pageElsewhere(isExpectedHere, deadlines.now)),
    pageMoved: (id, page) => forReturned(id, session => session.pageList?.find(page)?.leave()),
    goodbye: (id, page, epoch, hint) =>
      forSession(id, session => {
        session.noteGoodbye()
        session.pageList?.find(page)?.goodbye(epoch, hint)
      }),
    problem: error => context.hooks.report(error, { source: 'cluster' }),
  }
}
