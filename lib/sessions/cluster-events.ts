import type { Deadlines } from '../util/scheduler.js'
import type { ClaimWorker } from './claim-worker.js'
import type { ClusterShares } from './cluster-shares.js'
import type { CoordinatorEvents } from './coordinator.js'
import type { Hooks } from './hooks.js'
import type { Lifecycle } from './lifecycle.js'
import type { Session } from './session.js'

/** What the events need of this process's sessions. */
export interface EventsSite {
  readonly deadlines: Deadlines
  readonly hooks: Hooks
  readonly lifecycle: Lifecycle
  findById(id: string): Session | undefined
  /** What is due of a session may have changed. */
  arm(session: Session): void
  /** The framework session has expired. */
  noteExpiry(session: Session, endIn: number): void
}

/** Does in this process's sessions what the cluster tells. */
export function clusterEvents(
  site: EventsSite,
  worker: ClaimWorker,
  shares: ClusterShares,
): CoordinatorEvents {
  const { deadlines } = site
  const of = (id: string, tell: (session: Session) => void) => {
    const session = site.findById(id)
    if (session === undefined) return
    tell(session)
    site.arm(session)
  }
  // What comes to another node comes back.
  const ofReturned = (id: string, tell: (session: Session) => void) =>
    of(id, session => {
      session.noteReturn()
      tell(session)
    })
  return {
    due: ms => worker.noteDue(ms),
    loaded: (id, load, hadPage, runHooks) =>
      ofReturned(id, session => {
        const { presence } = session
        const isNews = presence.loadedElsewhere(load, hadPage, deadlines.now)
        if (runHooks) site.lifecycle.load(session)
        else if (isNews) session.beginLoad()
        if (presence.keepLoaded(deadlines.now)) void shares.report(session)
      }),
    runLoadHooks: (id, load) => of(id, session => site.lifecycle.runLoadHooks(session, load)),
    unloaded: (id, load) =>
      of(id, session => {
        const { presence } = session
        if (presence.phase !== 'loaded' || presence.load > load) return
        presence.unloadedElsewhere()
        session.endLoad()
      }),
    ended: (id, reason) => of(id, session => void worker.end(session, reason, undefined)),
    expired: (id, endIn) => of(id, session => site.noteExpiry(session, endIn)),
    pageConnected: (id, isExpectedHere) =>
      ofReturned(id, ({ presence }) => presence.pageElsewhere(isExpectedHere, deadlines.now)),
    pageMoved: (id, page) => ofReturned(id, session => session.audience?.find(page)?.leave()),
    goodbye: (id, page, epoch) => ofReturned(id, session => session.audience?.find(page)?.goodbye(epoch)),
    problem: error => site.hooks.report(error, { source: 'cluster' }),
  }
}
