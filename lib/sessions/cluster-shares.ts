import type { Clock } from '../util/clock.js'
import type { Deadlines } from '../util/scheduler.js'
import type { ClaimWorker } from './claim-worker.js'
import type { Coordinator, Proposal, Share } from './coordinator.js'
import type { EntryKind, SessionEntry } from './entry.js'
import type { Session } from './session.js'

/** What the shares need from this process's sessions. */
export interface SharesContext {
  readonly config: { readonly clock: Clock }
  readonly deadlines: Deadlines
  /** Reschedules the session's next deadline. */
  arm(session: Session): void
}

/** What this node keeps of its sessions, as the coordinator reports it to the other nodes. */
export class ClusterShares {
  readonly #coordinator: Coordinator
  readonly #worker: ClaimWorker
  readonly #context: SharesContext
  /** The ids of the pages of each session that are connected here or waiting for the cluster's answer, and how many entries each has. */
  readonly #pages = new WeakMap<Session, Map<string, number>>()

  constructor(coordinator: Coordinator, worker: ClaimWorker, context: SharesContext) {
    this.#coordinator = coordinator
    this.#worker = worker
    this.#context = context
  }

  of(session: Session): Share {
    const { token, id, createdAt, presence, values } = session
    const { phase, load, hadPage, everHadPage, reason, navigationsWithoutPage: navigations } = presence
    const { now } = this.#context.deadlines
    // For the other nodes, a pending entry has entered.
    const isArriving = presence.pendingEntries > 0
    return {
      token,
      id,
      createdAt,
      load,
      hadPage,
      everHadPage,
      reason,
      navigations,
      phase:
        phase === 'loaded' ? phase : phase === 'unloading' || presence.waiting > 0 ? 'unloading' : 'unloaded',
      keepsLoaded: presence.keepsLoaded || isArriving,
      keepsState: presence.keepsState || isArriving,
      endIn:
        presence.entryCount > 0 || isArriving ? Number.POSITIVE_INFINITY : Math.max(presence.endsAt - now, 0),
      expected: presence.expected(now),
      pages: [...(this.#pages.get(session)?.keys() ?? [])],
      hasValues: values.count > 0,
    }
  }

  /** What this node knows of the session of an entry. @param kind the kind of an entry that the presence doesn't count yet */
  proposal(token: string, id: string, session: Session | undefined, kind?: EntryKind): Proposal {
    const { clock } = this.#context.config
    const { presence } = session ?? {}
    return {
      token,
      id,
      createdAt: session?.createdAt ?? clock.wall(),
      isBegun: session !== undefined,
      expected: presence?.expected(this.#context.deadlines.now) ?? [],
      navigations: (presence?.navigationsWithoutPage ?? 0) + (kind === 'navigation' ? 1 : 0),
    }
  }

  /** The shares of a session and its scopes. */
  withScopes(session: Session): Share[] {
    return [session, ...(session.scopes?.usable ?? [])].map(each => this.of(each))
  }

  /** Reports what this node keeps, and starts the work that this node gets for it. @returns whether another node expects a page */
  async report(session: Session, leftPage?: string): Promise<boolean> {
    const { claim, pageExpected } = await this.#coordinator.report(this.of(session), leftPage)
    if (claim !== undefined) this.#worker.start(claim)
    return pageExpected
  }

  /** A page has connected, or waits for the cluster's answer. */
  addPage(session: Session, page: string): void {
    const pages = this.#pages.get(session) ?? new Map<string, number>()
    this.#pages.set(session, pages.set(page, (pages.get(page) ?? 0) + 1))
  }

  /** @returns whether the session has no other entry of that page */
  removePage(session: Session, page: string): boolean {
    const pages = this.#pages.get(session)
    const others = (pages?.get(page) ?? 1) - 1
    if (others > 0) pages?.set(page, others)
    else pages?.delete(page)
    return others === 0
  }

  /** An entry has left. @param isReload whether a page is expected because of it */
  left(session: Session, { kind, page }: SessionEntry, isReload: boolean): void {
    if (kind === 'request') return
    if (page !== undefined && !this.removePage(session, page)) return
    const reported = this.report(session, page)
    if (isReload) void reported.then(pageExpected => this.#reloads(session, pageExpected))
  }

  /** The navigation of a reload has reached another node, so the page is expected there rather than here. */
  #reloads(session: Session, isExpectedElsewhere: boolean): void {
    const { presence } = session
    const { now } = this.#context.deadlines
    if (!isExpectedElsewhere || session.ended !== undefined || !presence.announcedElsewhere(now)) return
    this.#context.arm(session)
    void this.report(session)
  }
}
