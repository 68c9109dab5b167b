import { randomUUID } from 'node:crypto'
import { GradioStateError } from '../errors.js'
import type { Reason } from '../types.js'
import type { Clock } from '../util/clock.js'
import { flat } from '../util/detach-string.js'
import { Arrivals } from './arrivals.js'
import { ClaimWorker, type WorkSite } from './claim-worker.js'
import { clusterEvents, type EventsSite } from './cluster-events.js'
import { ClusterShares, type SharesSite } from './cluster-shares.js'
import type { Admission, Coordinator, Proposal, Visitor } from './coordinator.js'
import { RECONNECT } from './presence.js'
import { Entry, type Session } from './session.js'
import type { SharedOwner } from './session-access.js'
import type { ValueClaim } from './shared-value-store.js'
import type { Beginning, EntryKind, Visiting } from './visit.js'

/** What this process does in its sessions for the cluster. */
export interface NodeSite extends WorkSite, SharesSite, EventsSite {
  readonly config: {
    readonly clock: Clock
    readonly unloadDelay: number
    readonly gracePeriod: number
    readonly hookTimeout: number
  }
  find(token: string): Session | undefined
  all(): Session[]
  /** @throws GradioStateError `CLOSED` */
  expectOpen(): void
  /** @throws GradioStateError `TOO_MANY_SESSIONS` */
  makeRoom(): void
  begin(token: string, id: string, createdAt: number, beginning: Beginning | undefined): Session
  /** Lets a visitor enter by what this process knows. */
  enter(token: string, visiting: Visiting, beginning: Beginning | undefined): Entry | undefined
  /** Who is here has changed. */
  place(session: Session): void
}

/** This process as one of several that share their sessions. */
export class ClusterNode {
  readonly arrivals = new Arrivals()
  readonly #worker: ClaimWorker
  readonly shares: ClusterShares
  readonly #coordinator: Coordinator
  readonly #site: NodeSite

  constructor(coordinator: Coordinator, site: NodeSite) {
    this.#coordinator = coordinator
    this.#site = site
    this.#worker = new ClaimWorker(coordinator, site)
    this.shares = new ClusterShares(coordinator, this.#worker, site)
  }

  /** 32 random bytes that all nodes know and nobody else does. */
  get secret(): Buffer {
    return this.#coordinator.secret
  }

  /** Whether visitors wait for the cluster's answer: what they begin can't be found yet. */
  get isEntering(): boolean {
    return this.arrivals.any
  }

  connect(): void {
    const { config, hooks } = this.#site
    const { clock, unloadDelay, gracePeriod } = config
    const shares = () => this.#site.all().map(session => this.shares.of(session))
    // As if the sockets of a node that is gone broke.
    const context = { clock, unloadDelay: unloadDelay + RECONNECT, gracePeriod, shares }
    const events = clusterEvents(this.#site, this.#worker, this.shares)
    void this.#coordinator.connect(context, events).catch(error => hooks.report(error, { source: 'cluster' }))
  }

  /** Whether a visitor to the session of that token has to wait for the cluster's answer, by {@link enter}. */
  mustAsk(token: string): boolean {
    const session = this.#site.find(token)
    return session === undefined || !this.#isSure(session)
  }

  /**
   * As {@link NodeSite.enter}, for who can wait. Without `beginning`, `undefined` where there is no session.
   * @throws GradioStateError `CLOSED`, `TOO_MANY_SESSIONS`: at once, as the browser is to be told of no session then
   */
  enter(token: string, visiting: Visiting, beginning: Beginning): Promise<Entry>
  enter(token: string, visiting: Visiting, beginning?: Beginning): Promise<Entry | undefined>
  enter(token: string, visiting: Visiting, beginning?: Beginning): Promise<Entry | undefined> {
    const site = this.#site
    site.expectOpen()
    const known = site.find(token)
    const isNew = beginning !== undefined && known === undefined
    if (isNew && !this.arrivals.mayBegin(token)) site.makeRoom()
    return this.#ask(known?.token ?? flat(token), known, named(visiting), beginning)
  }

  async #ask(
    token: string,
    known: Session | undefined,
    visitor: Visitor,
    beginning: Beginning | undefined,
  ): Promise<Entry | undefined> {
    const site = this.#site
    const begins = beginning !== undefined
    const { page } = visitor
    if (known !== undefined && page !== undefined) this.shares.addPage(known, page)
    const { id, answered } = this.arrivals.add(token, known, begins)
    const proposal = this.#proposal(token, id, known, visitor.kind)
    try {
      const admission = await this.#coordinator.enter(proposal, visitor, begins).catch(unlessAway)
      site.expectOpen()
      if (typeof admission === 'object') return this.#admit(token, admission, visitor, beginning)
      // What was begun here meanwhile is not what was asked about.
      if (admission === 'away' || site.find(token) !== known) return site.enter(token, visitor, beginning)
      return undefined
    } finally {
      answered()
      if (known !== undefined && page !== undefined) this.shares.removePage(known, page)
      const session = site.find(token)
      if (session !== undefined) site.arm(session)
    }
  }

  /**
   * A visitor has entered who could not wait: the cluster is told. The load hooks of a session that this process took for unloaded
   * run when its answer says so.
   */
  tell(entry: Entry, loads: boolean, begins: boolean): void {
    const { session, kind, page } = entry
    const { token, id } = session
    const { answered } = this.arrivals.add(token, session, false)
    const proposal = this.#proposal(token, id, session)
    const visitor = page === undefined ? { kind } : { kind, page }
    // What the cluster has confirmed isn't begun again.
    const told = this.#coordinator.enter(proposal, visitor, !this.#coordinator.isConfirmed(session))
    void told.then(
      admission => {
        answered()
        if (admission !== undefined) this.#told(entry, admission, begins)
        this.#site.arm(session)
      },
      error => {
        answered()
        if (!isAway(error)) this.#site.hooks.report(error, { source: 'cluster', session: id })
        if (loads && session.ended === undefined) this.#site.lifecycle.load(session)
        this.#site.arm(session)
      },
    )
  }

  /** Another node may have that page: it is told that the page says goodbye. Resolves with whether one has. */
  goodbye(token: string, page: string, epoch: number | undefined): Promise<boolean> {
    return this.#coordinator.goodbye(token, page, epoch, undefined)
  }

  /** Something is due of the session: the others may keep it. The answer may be work, for which there is to be room. */
  stopKeeping(session: Session): void {
    const { deadlines, lifecycle } = this.#site
    if (session.presence.stopKeeping(deadlines.now))
      lifecycle.limiter.hold(this.shares.report(session).then(() => {}))
    this.#site.arm(session)
  }

  end(session: Session, reason: Reason): Promise<void> {
    return this.#worker.end(session, reason, this.#coordinator.end(this.shares.of(session), reason))
  }

  /** This node stops: other nodes may go on with the session, so only its part here ends. */
  shutDown(session: Session): void {
    void this.#worker.end(session, 'shutdown', undefined)
  }

  /** Tells the callback of a shared value that it was deleted. Never rejects. */
  release(claim: ValueClaim, session: SharedOwner): Promise<void> {
    return this.#worker.release(claim, session)
  }

  /** Resolves when no claim is worked on any more. */
  idle(): Promise<void> {
    return this.#worker.idle()
  }

  expire(session: Session, endIn: number): void {
    void this.#coordinator.expire(session, endIn)
  }

  /** Hands what this node keeps and what it has to do to the others. */
  close(): Promise<void> {
    return this.#coordinator.close()
  }

  /** The cluster has confirmed the session, and a page of it here keeps it loaded. */
  #isSure(session: Session): boolean {
    const { phase, keepsLoaded, pages, reason } = session.presence
    const isKept = phase === 'loaded' && keepsLoaded && pages > 0 && reason === 'disconnected'
    return isKept && this.#coordinator.isConfirmed(session)
  }

  /** @param kind of a visitor who isn't counted yet */
  #proposal(token: string, id: string, session: Session | undefined, kind?: EntryKind): Proposal {
    const { clock } = this.#site.config
    const { presence } = session ?? {}
    return {
      token,
      id,
      createdAt: session?.createdAt ?? clock.wall(),
      isBegun: session !== undefined,
      expected: presence?.expected(this.#site.deadlines.now) ?? [],
      navigations: (presence?.navigationsWithoutPage ?? 0) + (kind === 'navigation' ? 1 : 0),
    }
  }

  #admit(
    token: string,
    admission: Admission,
    { kind, page }: Visitor,
    beginning: Beginning | undefined,
  ): Entry {
    const site = this.#site
    const known = site.findById(admission.id)
    const session = known ?? site.begin(token, admission.id, admission.createdAt, beginning)
    this.#adopt(session, admission, known === undefined)
    const entry = new Entry(session, kind, page)
    if (page !== undefined) this.shares.addPage(session, page)
    this.#await(entry, admission)
    session.presence.enter(entry, site.deadlines.now, admission)
    site.place(session)
    // Another node may have begun it.
    if (known !== undefined || admission.phase !== 'new') session.noteReturn()
    return entry
  }

  /** The answer about a visitor who has entered before. */
  #told(entry: Entry, admission: Admission, begins: boolean): void {
    const site = this.#site
    const { session } = entry
    if (session.ended === undefined && session.id === admission.id) {
      this.#adopt(session, admission, false, begins)
      if (admission.phase === 'unloading' && !entry.left) session.presence.wait(entry)
      return
    }
    // It has ended meanwhile, and the visitor was let into another one, where nobody is.
    const known = site.findById(admission.id)
    const other = known ?? site.begin(session.token, admission.id, admission.createdAt, undefined)
    this.#adopt(other, admission, known === undefined)
    if (known === undefined) other.presence.beginUnattended(site.deadlines.now)
    site.arm(other)
  }

  /**
   * @param isFresh whether the session was begun here for this answer
   * @param hasLoaded whether its load hooks have run here, for what the answer tells
   */
  #adopt(session: Session, admission: Admission, isFresh: boolean, hasLoaded = false): void {
    const { phase, pagesElsewhere } = admission
    session.pagesElsewhere = pagesElsewhere
    const isNews = session.presence.answered(admission, this.#site.deadlines.now)
    const runHooks = (phase === 'returned' && !hasLoaded) || (phase === 'new' && isFresh)
    if (runHooks) this.#site.lifecycle.load(session)
    else if (isNews) session.beginLoad()
  }

  /** Who comes while unload hooks run waits for the load after them, at most one time limit. */
  #await(entry: Entry, { phase }: Admission): void {
    if (phase !== 'unloading') return
    const released = new Promise<void>(resolve => {
      entry.released = resolve
    })
    const { deadlines, config } = this.#site
    entry.ready = deadlines.within(entry.session.unloading ?? released, config.hookTimeout)
  }
}

/** The page of a tracked socket has no id of its own. */
function named({ kind, page }: Visiting): Visitor {
  return kind === 'page' ? { kind, page: flat(page ?? randomUUID()) } : { kind }
}

function isAway(error: unknown): boolean {
  return error instanceof GradioStateError && error.code === 'CLUSTER_UNAVAILABLE'
}

/** An outage: the visitor goes on by what this process knows. */
function unlessAway(error: unknown): 'away' {
  if (isAway(error)) return 'away'
  throw error
}
