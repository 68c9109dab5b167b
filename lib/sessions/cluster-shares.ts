import type { Deadlines } from '../util/scheduler.js'
import type { ClaimWorker } from './claim-worker.js'
import type { Coordinator, Share } from './coordinator.js'
import type { Entry, Session } from './session.js'

/** What the shares need of this process's sessions. */
export interface SharesSite {
  readonly deadlines: Deadlines
  /** What is due of a session may have changed. */
  arm(session: Session): void
}

/** What this node keeps of its sessions, as it tells the others. */
export class ClusterShares {
  readonly #coordinator: Coordinator
  readonly #worker: ClaimWorker
  readonly #site: SharesSite
  /** The ids of the pages that are here or on their way, and how many entries each has. */
  readonly #pages = new WeakMap<Session, Map<string, number>>()

  constructor(coordinator: Coordinator, worker: ClaimWorker, site: SharesSite) {
    this.#coordinator = coordinator
    this.#worker = worker
    this.#site = site
  }

  of(session: Session): Share {
    const { token, id, createdAt, presence, values } = session
    const { phase, load, hadPage, everHadPage, reason, navigationsWithoutPage: navigations } = presence
    const { now } = this.#site.deadlines
    // Who is being asked about has entered, as far as the others know.
    const isArriving = presence.arriving > 0
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
      endIn: presence.here > 0 || isArriving ? Number.POSITIVE_INFINITY : Math.max(presence.endsAt - now, 0),
      expected: presence.expected(now),
      pages: [...(this.#pages.get(session)?.keys() ?? [])],
      hasValues: !values.isEmpty,
    }
  }

  /** Tells what this node keeps, and does the work that it is given for that. */
  async report(session: Session, leftPage?: string): Promise<boolean> {
    const { claim, pageExpected } = await this.#coordinator.report(this.of(session), leftPage)
    if (claim !== undefined) this.#worker.start(claim)
    return pageExpected
  }

  /** A page is here, or is being asked about. */
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
  left(session: Session, { kind, page }: Entry, isReload: boolean): void {
    if (kind === 'request') return
    if (page !== undefined && !this.removePage(session, page)) return
    const reported = this.report(session, page)
    if (isReload) void reported.then(pageExpected => this.#reloads(session, pageExpected))
  }

  /** The navigation of a reload is at another node: its page is expected there. */
  #reloads(session: Session, isExpectedElsewhere: boolean): void {
    const { presence } = session
    const { now } = this.#site.deadlines
    if (!isExpectedElsewhere || session.ended !== undefined || presence.expected(now).length === 0) return
    presence.meetExpectation(now)
    this.#site.arm(session)
    void this.report(session)
  }
}
