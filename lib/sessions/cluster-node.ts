import { randomUUID } from 'node:crypto'
import { sessionEnded } from '../errors.js'
import type { Reason } from '../types.js'
import type { Clock } from '../util/clock.js'
import { detachString } from '../util/detach-string.js'
import { ClaimWorker, type WorkerContext } from './claim-worker.js'
import { clusterEvents, type EventsContext } from './cluster-events.js'
import { ClusterScopes } from './cluster-scopes.js'
import { ClusterShares, type SharesContext } from './cluster-shares.js'
import { isUnavailable, unlessUnavailable } from './cluster-unavailable.js'
import type { Admission, Coordinator, NodeContext, PageHint } from './coordinator.js'
import type { EntryInit, SessionInit } from './entry.js'
import { RECONNECT } from './expected-pages.js'
import { PendingEntries } from './pending-entries.js'
import { parentToken } from './scopes.js'
import type { Session } from './session.js'
import type { SharedOwner } from './session-access.js'
import { Entry } from './session-entry.js'
import type { ValueClaim } from './shared-value-store.js'

/** What the node needs from this process's sessions. */
export interface ClusterNodeContext extends WorkerContext, SharesContext, EventsContext {
  readonly config: {
    readonly clock: Clock
    readonly unloadDelay: number
    readonly gracePeriod: number
    readonly hookTimeout: number
  }
  /** See {@link NodeContext.options}. */
  agreedOptions(): Readonly<Record<string, string>>
  find(token: string): Session | undefined
  all(): Session[]
  /** @throws GradioStateError `CLOSED` */
  expectOpen(): void
  /** @throws GradioStateError `TOO_MANY_SESSIONS`, `TOO_MANY_SCOPES` */
  makeRoom(token: string): void
  begin(token: string, id: string, createdAt: number, sessionInit: SessionInit | undefined): Session
  /** Enters a session by the state of this process alone. */
  enter(token: string, init: EntryInit, sessionInit: SessionInit | undefined): Entry | undefined
  /** An entry has entered its session. */
  noteEntry(entry: Entry): void
}

/** This process as one node of a cluster. */
export class ClusterNode {
  readonly pendingEntries: PendingEntries
  readonly #worker: ClaimWorker
  readonly shares: ClusterShares
  readonly #scopes: ClusterScopes
  readonly #coordinator: Coordinator
  readonly #context: ClusterNodeContext

  constructor(coordinator: Coordinator, context: ClusterNodeContext) {
    this.#coordinator = coordinator
    this.#context = context
    this.pendingEntries = new PendingEntries(context)
    this.#worker = new ClaimWorker(coordinator, context)
    this.shares = new ClusterShares(coordinator, this.#worker, context)
    this.#scopes = new ClusterScopes({
      ...{ coordinator, worker: this.#worker, shares: this.shares, pendingEntries: this.pendingEntries },
      adopt: (scope, admission) => this.#adopt(scope, admission, false),
      arm: session => context.arm(session),
    })
  }

  /** 32 random bytes that are shared by all nodes and known to nobody else. */
  get secret(): Buffer {
    return this.#coordinator.secret
  }

  /** Whether entries wait for the cluster's answer: the sessions that they begin can't be found yet. */
  get isEntering(): boolean {
    return this.pendingEntries.any
  }

  connect(): void {
    const { config, hooks } = this.#context
    const { clock, unloadDelay, gracePeriod } = config
    const shares = () => this.#context.all().flatMap(session => this.shares.withScopes(session))
    // The sockets of a node that crashed count as broken, so their pages get time to reconnect.
    const options = () => this.#context.agreedOptions()
    const context = { clock, unloadDelay: unloadDelay + RECONNECT, gracePeriod, shares, options }
    const events = clusterEvents(this.#context, this.#worker, this.shares, this.#scopes)
    void this.#coordinator.connect(context, events).catch(error => hooks.report(error, { source: 'cluster' }))
  }

  /** Whether an entry to the session of that token has to wait for the cluster's answer, by {@link enter}. */
  mustAsk(token: string): boolean {
    const session = this.#context.find(token)
    return session === undefined || !this.#isSure(session)
  }

  /**
   * Like {@link ClusterNodeContext.enter}, for callers that can wait. Without `sessionInit`, `undefined` if there is no session.
   * @throws GradioStateError `CLOSED`, `TOO_MANY_SESSIONS`: synchronously, before the browser receives a token
   */
  enter(token: string, init: EntryInit, sessionInit: SessionInit): Promise<Entry>
  enter(token: string, init: EntryInit, sessionInit?: SessionInit): Promise<Entry | undefined>
  enter(token: string, init: EntryInit, sessionInit?: SessionInit): Promise<Entry | undefined> {
    const context = this.#context
    context.expectOpen()
    const known = context.find(token)
    const isNew = sessionInit !== undefined && known === undefined
    if (isNew && !this.pendingEntries.mayBegin(token)) context.makeRoom(token)
    return this.#ask(known?.token ?? detachString(token), known, withPageId(init), sessionInit)
  }

  async #ask(
    token: string,
    known: Session | undefined,
    init: EntryInit,
    sessionInit: SessionInit | undefined,
  ): Promise<Entry | undefined> {
    const context = this.#context
    const begins = sessionInit !== undefined
    const { page } = init
    if (known !== undefined && page !== undefined) this.shares.addPage(known, page)
    const { id, answered } = this.pendingEntries.add(token, known, begins)
    const proposal = this.shares.proposal(token, id, known, init.kind)
    try {
      const admission = await this.#coordinator.enter(proposal, init, begins).catch(unlessUnavailable)
      context.expectOpen()
      if (typeof admission === 'object') {
        // Ended by the hook of an entry whose answer arrived with this one.
        if (!this.#worker.isEnding(admission.id)) return this.#admit(token, admission, init, sessionInit)
        return await this.#ask(token, context.find(token), init, sessionInit)
      }
      // If the session has changed here meanwhile, the answer is about another one.
      if (admission === 'unavailable' || context.find(token) !== known)
        return context.enter(token, init, sessionInit)
      return undefined
    } finally {
      answered()
      if (known !== undefined && page !== undefined) this.shares.removePage(known, page)
      const session = context.find(token)
      if (session !== undefined) context.arm(session)
    }
  }

  /**
   * Reports an entry that could not wait for the cluster. If this process considered the session unloaded, its load hooks run when
   * the answer says so.
   */
  reportEntry(entry: Entry, loads: boolean, begins: boolean): void {
    const { session, kind, page } = entry
    const { token, id } = session
    const { answered } = this.pendingEntries.add(token, session, false)
    const proposal = this.shares.proposal(token, id, session)
    const init = page === undefined ? { kind } : { kind, page }
    // A session that the cluster has confirmed isn't started again.
    const answer = this.#coordinator.enter(proposal, init, !this.#coordinator.isConfirmed(session))
    void answer.then(
      admission => {
        answered()
        if (admission !== undefined) this.#entryAnswered(entry, admission, begins)
        this.#context.arm(session)
      },
      error => {
        answered()
        if (!isUnavailable(error)) this.#context.hooks.report(error, { source: 'cluster', session: id })
        if (loads && session.ended === undefined) this.#context.lifecycle.load(session)
        this.#context.arm(session)
      },
    )
  }

  /** Reports the goodbye of a page that isn't connected here. @returns whether another node has the page */
  goodbye(token: string, page: string, epoch: number | undefined, hint: PageHint): Promise<boolean> {
    return this.#coordinator.goodbye(token, page, epoch, hint)
  }

  /** A deadline of the session has passed: reports that this node no longer keeps it. The answer may be work, which takes a slot. */
  stopKeeping(session: Session): void {
    const { deadlines, lifecycle } = this.#context
    const { presence } = session
    if (presence.stopKeeping(deadlines.now)) {
      if (!presence.keepsLoaded) this.#scopes.unload(session)
      lifecycle.limiter.occupy(this.shares.report(session).then(() => {}))
    }
    this.#context.arm(session)
  }

  end(session: Session, reason: Reason): Promise<void> {
    // First, so that this node gets their claims before that of the session.
    for (const scope of session.scopes?.usable ?? []) void this.end(scope, reason)
    return this.#worker.end(session, reason, this.#coordinator.end(this.shares.of(session), reason))
  }

  /** This node stops. Only its part of the session ends, since other nodes may continue with it. */
  shutDown(session: Session): void {
    void this.#worker.end(session, 'shutdown', undefined)
  }

  /** Runs the delete callback of a shared value. Never rejects. */
  release(claim: ValueClaim, session: SharedOwner): Promise<void> {
    return this.#worker.release(claim, session)
  }

  /** Resolves when no claim is in progress. */
  idle(): Promise<void> {
    return this.#worker.idle()
  }

  expire(session: Session, endIn: number): void {
    void this.#coordinator.expire(session, endIn)
  }

  /** Hands this node's shares and claims over to the other nodes. */
  close(): Promise<void> {
    return this.#coordinator.close()
  }

  /** Whether the cluster has confirmed the session, and a page on this node keeps it loaded. */
  #isSure(session: Session): boolean {
    const { phase, keepsLoaded, pages, reason } = session.presence
    const isKept = phase === 'loaded' && keepsLoaded && pages > 0 && reason === 'disconnected'
    return isKept && this.#coordinator.isConfirmed(session)
  }

  #admit(token: string, admission: Admission, init: EntryInit, sessionInit: SessionInit | undefined): Entry {
    const context = this.#context
    const { page } = init
    const known = context.findById(admission.id)
    const session = known ?? this.#begin(token, admission, sessionInit)
    if (session === undefined) throw sessionEnded()
    this.#adopt(session, admission, known === undefined)
    const entry = new Entry(session, init)
    if (page !== undefined) this.shares.addPage(session, page)
    this.#await(entry, admission)
    session.presence.enter(entry, context.deadlines.now, admission)
    context.noteEntry(entry)
    // Another node may have started it, and then this isn't the first entry.
    if (known !== undefined || admission.phase !== 'new') session.noteReturn()
    return entry
  }

  /** Starts the session of an admission here; `undefined` for a scope whose session has ended since. */
  #begin(token: string, admission: Admission, sessionInit: SessionInit | undefined): Session | undefined {
    const parent = parentToken(token)
    const { id, createdAt } = admission
    if (parent === undefined || this.#context.find(parent) !== undefined)
      return this.#context.begin(token, id, createdAt, sessionInit)
    void this.#scopes.leave(this.#context.makeRemote(token, id, createdAt), admission)
    return undefined
  }

  /** Handles the answer about an entry that has already entered here. */
  #entryAnswered(entry: Entry, admission: Admission, begins: boolean): void {
    const context = this.#context
    const { session } = entry
    if (session.ended === undefined && session.id === admission.id) {
      // The load hooks of a scope have not run: it may exist on another node.
      this.#adopt(session, admission, session.parent !== undefined, begins)
      if (admission.phase === 'unloading' && !entry.left) session.presence.wait(entry)
      return
    }
    if (this.#worker.isEnding(admission.id)) return
    // The session has ended, and the cluster has let the entry into another session, where it isn't present.
    const known = context.findById(admission.id)
    const other = known ?? this.#begin(session.token, admission, undefined)
    if (other === undefined) return
    this.#adopt(other, admission, known === undefined)
    if (known === undefined) other.presence.beginWithoutEntry(context.deadlines.now)
    context.arm(other)
  }

  /**
   * Takes over the state that the cluster has answered.
   * @param isFresh whether the session was started here because of this answer
   * @param hasLoaded whether this process has already run the load hooks of that load
   */
  #adopt(session: Session, admission: Admission, isFresh: boolean, hasLoaded = false): void {
    const { phase, pagesElsewhere } = admission
    const { now } = this.#context.deadlines
    session.pagesElsewhere = pagesElsewhere
    session.presence.notePagesElsewhere(pagesElsewhere > 0, now)
    const isNewLoad = session.presence.answered(admission, now)
    const runHooks = (phase === 'returned' && !hasLoaded) || (phase === 'new' && isFresh)
    if (runHooks) this.#context.lifecycle.load(session)
    else if (isNewLoad) session.beginLoad()
    if (phase === 'unloaded') session.endLoad()
    if (phase === 'returned') this.#scopes.loadAgain(session)
  }

  /** An entry that arrives while unload hooks run waits for the next load, at most one time limit. */
  #await(entry: Entry, { phase }: Admission): void {
    if (phase !== 'unloading') return
    const released = new Promise<void>(resolve => {
      entry.onReleased = resolve
    })
    const { deadlines, config } = this.#context
    entry.ready = deadlines.within(entry.session.unloading ?? released, config.hookTimeout)
  }
}

/** The page of a tracked socket has no id, so it gets one. */
function withPageId(init: EntryInit): EntryInit {
  return init.kind === 'page' ? { ...init, page: detachString(init.page ?? randomUUID()) } : init
}
