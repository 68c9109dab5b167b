import type { Reason } from '../types.js'
import type { Clock } from '../util/clock.js'
import type { EntryInit } from './entry.js'
import type { SharedValue, SharedValueStore, ValueClaim } from './shared-value-store.js'

/**
 * Lets several processes (nodes) share sessions. For each of its sessions, each node has a presence machine, which decides until
 * when *this node* keeps the session loaded, and until when it keeps the session's state. The coordinator records which node
 * keeps what, and assigns the work to the last node that stops. It has no rules about delays, requests or navigations.
 *
 * **Ids.** A session has one id in the cluster. If a node could not wait, and started a session that another node had already
 * started, it has a different id on this node. All methods and events use this node's id; the coordinator translates.
 *
 * **Order.** Calls of one node about one session take effect in the order in which they are made, even across an outage.
 * Events may arrive late. The coordinator drops outdated ones: `loaded`, `unloaded` and `expired` that are older than the last
 * answer to `enter`, claim or event `loaded` of that session, and `pageMoved` that is older than this node's last `enter` of
 * that page. A dropped `loaded` that had to run hooks becomes `runLoadHooks`, since no other node runs them. All other events
 * are delivered, each in its own macrotask, after the continuations of earlier answers. A session that the coordinator
 * doesn't know is `ended` when this node reports it.
 *
 * **Times** are milliseconds. Delays run on the coordinator's clock, so the clocks of the nodes may differ.
 */
export interface Coordinator {
  /** 32 random bytes that are shared by all nodes and known to nobody else. Final when {@link connect} has resolved. */
  readonly secret: Buffer

  /** The shared values. */
  readonly values: SharedValueStore

  /**
   * Called once, before anything else. Calls made before it resolves wait for the connection, at most 2 s. After that they behave
   * as in an outage.
   */
  connect(node: NodeContext, events: CoordinatorEvents): Promise<void>

  /**
   * An entry on this node: from now on, this node keeps the session loaded and keeps its state, until it {@link report}s
   * otherwise. This loads a session that was unloaded, and cancels an expiry. A page that another node has moves to this one.
   * A scope is only loaded while its session is: otherwise it stays unloaded, or starts unloaded, with load 0.
   * Entering again changes nothing.
   *
   * While the answer is pending, this node must not report that it stops keeping the session: that would undo the entry.
   * @param create starts the session under the proposed id, if the token has none
   * @returns `undefined` if the token has no session and `create` is false
   * @throws GradioStateError `CLUSTER_UNAVAILABLE`: at once during an outage, else within 2 s. The caller continues with the state
   * of this process alone; {@link NodeContext.shares} reports it when the outage is over.
   */
  enter(session: Proposal, entry: EntryInit, create: true): Promise<Admission>
  enter(session: Proposal, entry: EntryInit, create: boolean): Promise<Admission | undefined>

  /**
   * Replaces what this node keeps of the session. This can always clear `keepsLoaded` and `keepsState`, but sets `keepsLoaded` only
   * if `load` is the current load, since only {@link enter} loads a session. If no node keeps it loaded (or keeps its state) any
   * more, the answer contains the claim. Repeating a report changes nothing.
   *
   * Never rejects. During an outage it resolves without a claim: due work isn't done now, and can be claimed by {@link claim} when
   * the outage is over.
   * @param leftPage a page that has left, if this node has no other entry of it, not even a pending one
   */
  report(share: Share, leftPage?: string): Promise<Reported>

  /**
   * The framework session has expired. The other nodes with a share receive {@link CoordinatorEvents.expired}. This node keeps the
   * state from now on. Never rejects. During an outage nothing is sent: the share contains the expiry.
   */
  expire(session: SessionRef, endIn: number): Promise<void>

  /**
   * Ends the session for all nodes: the others receive {@link CoordinatorEvents.ended}. With `evicted`, ends it only if no other
   * node keeps it, and otherwise drops this node's share.
   *
   * Never rejects. During an outage it resolves with `undefined`, and the claim comes from {@link claim} later.
   * @param session its state when it ended here, from which the claim is made if Redis has lost the session
   * @returns the claim, for one caller; `undefined` if this node only has to end its local part
   */
  end(session: Share, reason: Reason): Promise<SessionClaim | undefined>

  /**
   * Claims work that this node didn't cause: of nodes that crashed or closed, of expired shared values, and of claims that timed
   * out. Must be called when {@link CoordinatorEvents.due} says so. Never rejects; may return less than there is.
   */
  claim(limit: number): Promise<Claim[]>

  /**
   * Extends a claim by 15 s. Must be called before each function of the app that runs for it, and every 5 s meanwhile.
   * @returns whether this node still has the claim. Never rejects: `false` if the coordinator can't tell
   */
  extend(claim: Claim): Promise<boolean>

  /**
   * The work of a claim is done. If a node has entered during an unload, this loads the session again: all nodes with a share
   * receive {@link CoordinatorEvents.loaded}, this node before the promise resolves, and one of them runs the load hooks. A scope is
   * only loaded again if its session is loaded.
   *
   * Never rejects. During an outage it resolves with `false`, and is sent when the outage is over.
   * @returns `false` if another node has the claim now, or the session has ended
   */
  complete(claim: Claim): Promise<boolean>

  /**
   * A page that isn't connected to this node said goodbye to it. The node that has the page receives
   * {@link CoordinatorEvents.goodbye}.
   * @returns whether there is one. Never rejects: `false` during an outage, and the page leaves when its socket or lease ends
   */
  goodbye(token: string, page: string, epoch: number | undefined, hint: PageHint): Promise<boolean>

  /**
   * Whether the coordinator has confirmed this session, and doesn't consider this node dead. Only then, and while a page is
   * connected here, a request may continue without asking the coordinator.
   */
  isConfirmed(session: SessionRef): boolean

  /** Hands this node's shares and claims over to the other nodes. Emits no events afterwards. Never rejects. */
  close(): Promise<void>
}

/** What the coordinator needs from its node. */
export interface NodeContext {
  readonly clock: Clock
  /** The least time from the crash of a node to the unload of its sessions: as for a broken socket. In milliseconds. */
  readonly unloadDelay: number
  /** The least time from then to their end, in milliseconds, or `Infinity`. */
  readonly gracePeriod: number
  /** The options that have to be the same on all nodes, with their values as text. Called whenever this node connects. */
  options(): Readonly<Record<string, string>>
  /** The shares of all sessions that have begun here and not ended. Called when an outage is over. */
  shares(): Iterable<Share>
}

/** A session, by its token and its id on this node. */
export interface SessionRef {
  readonly token: string
  readonly id: string
}

/** The session of an entry, as far as this node knows it. */
export interface Proposal extends SessionRef {
  /** When it began here, or the current time. Milliseconds since the epoch. */
  readonly createdAt: number
  /**
   * Whether it has begun here, under this id. Otherwise the id is a proposal (a new UUID v4, the same for all pending entries of
   * the token), and the answer contains the actual id.
   */
  readonly isBegun: boolean
  /** As in {@link Share}, including this entry. */
  readonly expected: readonly number[]
  readonly navigations: number
}

/** What this node keeps of a session. Computed from its presence, never stored. */
export interface Share extends SessionRef {
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly phase: 'loaded' | 'unloading' | 'unloaded'
  /** Load count, starting at 1, as far as this node knows. */
  readonly load: number
  readonly keepsLoaded: boolean
  readonly keepsState: boolean
  /** Milliseconds until this node stops keeping the state, if nothing enters; `Infinity` while an entry is present. */
  readonly endIn: number
  /** The deadlines of the pages that are expected here, on this node's clock, earliest first. */
  readonly expected: readonly number[]
  /** How many navigations in flight have no page yet. */
  readonly navigations: number
  /** The ids of the pages on this node, without duplicates. */
  readonly pages: readonly string[]
  /** Whether a page has connected since the last load, on any node. */
  readonly hadPage: boolean
  /** Whether a page has ever connected, on any node. */
  readonly everHadPage: boolean
  /** Whether it has local values in this process, which no other node can read. */
  readonly hasValues: boolean
  /** Why the next unload or end is due. */
  readonly reason: 'disconnected' | 'expired'
}

/** The answer to `enter`. */
export interface Admission {
  /** The id of the session on this node. Differs from a proposed id if the session had already begun, or has ended. */
  readonly id: string
  /**
   * `new`: this call started the session. `returned`: it was unloaded, this call has loaded it, and this node runs the load hooks.
   * `unloading`: unload hooks are running on some node; event `loaded` follows. `loaded`: none of these. Of a scope also `unloading`
   * while those of its session are running: after event `loaded` of the session, it has to be entered again. `unloaded`: a scope
   * of an unloaded session.
   */
  readonly phase: 'new' | 'returned' | 'unloading' | 'unloaded' | 'loaded'
  readonly createdAt: number
  readonly load: number
  /** Whether a page has connected since the load, on any node, including this entry. */
  readonly hadPage: boolean
  /**
   * Whether this node expects the page, or has a navigation in flight that the page belongs to. `false` for a page that was
   * known, and for one that another node has expected for longer.
   */
  readonly isExpectedHere: boolean
  /** How many pages of the session are connected to other nodes. */
  readonly pagesElsewhere: number
}

/** The answer to `report`. */
export interface Reported {
  readonly claim?: SessionClaim | undefined
  /** Whether another node expects a page of the session, or has a navigation in flight. */
  readonly pageExpected: boolean
}

/** Work that is assigned to one node. */
export type Claim = SessionClaim | ValueClaim

/** The unload or end of a session. */
export interface SessionClaim extends SessionRef {
  /** Of a scope: the id of the session that it belongs to, if the coordinator knows it. */
  readonly parentId?: string
  readonly phase: 'unload' | 'end'
  readonly reason: Reason
  readonly createdAt: number
  readonly load: number
  /**
   * Whether the unload hooks have to run. At an end: unless they have run before, or the session was loaded by an entry of this
   * node whose answer arrived after the end, so that no node has run the load hooks.
   */
  readonly isLoaded: boolean
  /** Whether a page has ever connected. */
  readonly hadPage: boolean
  /** At an end: the shared values that end with the session. */
  readonly values: readonly SharedValue[]
  /** Increases with each claim of a session. Calls with an older fence are refused. */
  readonly fence: number
}

/** What follows a goodbye. `within`: another page of the app (a reload, a link). */
export type PageHint = 'within' | undefined

/** The events that a coordinator emits. Session ids are those of this node. */
export interface CoordinatorEvents {
  /** {@link Coordinator.claim} may have work in `ms` milliseconds. May be too early, never too late. */
  due(ms: number): void
  /**
   * The session was loaded by any node.
   * @param runHooks whether this node has to run the load hooks
   */
  loaded(id: string, load: number, hadPage: boolean, runHooks: boolean): void
  /** Event {@link loaded} was dropped as outdated, but this node has to run the hooks of that load. */
  runLoadHooks(id: string, load: number): void
  /** Another node has claimed the unload of that load. */
  unloaded(id: string, load: number, reason: Reason): void
  /** The session was ended by another node: the local part ends. */
  ended(id: string, reason: Reason): void
  /** Another node has detected that the framework session has expired. */
  expired(id: string, endIn: number): void
  /**
   * A page of the session connected to another node.
   * @param isExpectedHere whether this node expects it
   */
  pageConnected(id: string, isExpectedHere: boolean): void
  /** A page that was on this node has entered on another node. */
  pageMoved(id: string, page: string): void
  /** A page on this node said goodbye to another node. */
  goodbye(id: string, page: string, epoch: number | undefined, hint: PageHint): void
  /** An error to report to the app. */
  problem(error: Error): void
}
