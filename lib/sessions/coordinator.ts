import type { Reason } from '../types.js'
import type { Clock } from '../util/clock.js'
import type { SharedValue, SharedValueStore, ValueClaim } from './shared-value-store.js'

/**
 * Lets several processes (nodes) share sessions. Each node has a presence machine of its own for each session that it
 * has a part in, which decides until when *this node* keeps the session loaded, and until when it keeps its state. The
 * coordinator holds who keeps what, and gives the work to the last node that stops. It knows no rule about delays,
 * requests or navigations.
 *
 * **Ids.** A session has one id in the cluster. Only where a node could not wait, and began a session that another node
 * had begun already, this node's id stays another one. All methods and events speak of this node's id; the coordinator
 * translates.
 *
 * **Order.** Calls of one node about one session take effect in the order in which they are made, also across an outage.
 * Events may come late. The coordinator drops those that a newer answer has overtaken: `loaded`, `unloaded` and `expired`
 * that are older than the last answer to `enter`, claim or event `loaded` of that session (of `loaded`, `runLoadHooks` is
 * left where it was to run hooks: nobody else does), and `pageMoved` that is older than this node's last `enter` of that page. All others are delivered, each in a turn of its own: what awaits an earlier answer
 * has gone on before. A session that the coordinator doesn't know is `ended` when this node reports it.
 *
 * **Times** are milliseconds. Delays run on the coordinator's clock, so the clocks of the nodes may differ.
 */
export interface Coordinator {
  /** 32 random bytes that all nodes know and nobody else does. Settled when {@link connect} resolves. */
  readonly secret: Buffer

  /** The values that all nodes share. */
  readonly values: SharedValueStore

  /**
   * Called once, before anything else. What is asked before it resolves waits for the connection, at most 2 s; after that
   * it is answered as in an outage.
   */
  connect(node: NodeContext, events: CoordinatorEvents): Promise<void>

  /**
   * A visitor comes: this node keeps the session loaded and keeps its state from now on, until it {@link report}s
   * otherwise. A session that was unloaded is loaded by that, and an expiry is taken back. A page that another node has
   * moves here. To enter again changes nothing.
   *
   * While the answer is on its way, this node must not report that it keeps the session no more: that would undo it.
   * @param create begins the session, under the proposed id, where the token has none
   * @returns `undefined` where the token has no session, and none is to be begun
   * @throws GradioStateError `CLUSTER_UNAVAILABLE`: at once during an outage, else within 2 s. The caller goes on with what
   * this process knows; {@link NodeContext.shares} tells the others when the outage is over.
   */
  enter(session: Proposal, visitor: Visitor, create: true): Promise<Admission>
  enter(session: Proposal, visitor: Visitor, create: boolean): Promise<Admission | undefined>

  /**
   * Replaces what this node keeps of the session. It lowers `keepsLoaded` and `keepsState` always, and raises
   * `keepsLoaded` only for the load that is the present one: only {@link enter} loads a session. When no node keeps it loaded
   * (or keeps its state) any more, the answer is the claim. To report the same again changes nothing.
   *
   * Never rejects. During an outage it resolves without a claim: what is due is not done now, and becomes a claim of
   * {@link claim} when the outage is over.
   * @param leftPage a page that has left, when this node has no other entry of it, also none that it is asking about
   */
  report(share: Share, leftPage?: string): Promise<Reported>

  /**
   * The framework session has expired. The other nodes that have a share hear of it by {@link CoordinatorEvents.expired}.
   * This node keeps the state from now on. Never rejects. During an outage nothing is told: it is part of the share.
   */
  expire(session: SessionRef, endIn: number): Promise<void>

  /**
   * Ends the session for all nodes: the others hear of it by {@link CoordinatorEvents.ended}. `evicted` ends it only if no
   * other node keeps it, and else drops this node's share.
   *
   * Never rejects. During an outage it resolves with `undefined`, and the claim comes by {@link claim} later.
   * @param session as it was when it ended here: what Redis has lost is claimed by that
   * @returns the claim, for one caller; `undefined` where this node has nothing to do but to end its own part
   */
  end(session: Share, reason: Reason): Promise<SessionClaim | undefined>

  /**
   * Work that comes from elsewhere: of nodes that died or closed, of shared values whose time is over, and of claims whose
   * time ran out. To be called when {@link CoordinatorEvents.due} says so. Never rejects; may hand out less than there is.
   */
  claim(limit: number): Promise<Claim[]>

  /**
   * Whether a claim is still this node's; asks for more time for it (15 s). To be called before each of the app's functions
   * that run for it, and every 5 s meanwhile. Never rejects: `false` where the coordinator can't tell.
   */
  extend(claim: Claim): Promise<boolean>

  /**
   * The work of a claim is done. When a node has entered during an unload, this loads the session again: all nodes with a
   * share hear of it by {@link CoordinatorEvents.loaded}, this one before the promise resolves, and one of them runs the load
   * hooks.
   *
   * Never rejects. During an outage it resolves with `false`, and is sent when the outage is over.
   * @returns `false`: the claim was lost to another node, or the session has ended
   */
  complete(claim: Claim): Promise<boolean>

  /**
   * A page said goodbye to this node, which doesn't have it: the node that has it hears of it by
   * {@link CoordinatorEvents.goodbye}.
   * @returns whether there is one. Never rejects: `false` during an outage, and the page leaves by its socket or lease.
   */
  goodbye(token: string, page: string, epoch: number | undefined, hint: PageHint): Promise<boolean>

  /**
   * Whether the coordinator has confirmed this session, and this node isn't taken for dead. Synchronous. Only then, and
   * while a page is here, a visitor may go on without asking.
   */
  isConfirmed(session: SessionRef): boolean

  /** Hands this node's shares and claims to the others. No event is emitted any more. Never rejects. */
  close(): Promise<void>
}

/** What the coordinator has to know of its node. */
export interface NodeContext {
  readonly clock: Clock
  /**
   * How long after this node (or another one) is gone its sessions are unloaded at the earliest: as after a socket that broke.
   */
  readonly unloadDelay: number
  /** How long after that they end at the earliest, or `Infinity`. */
  readonly gracePeriod: number
  /** The shares of all sessions that have begun here and have not ended. Called when an outage is over. */
  shares(): Iterable<Share>
}

/** A session, by its token and by the id that this node has for it. */
export interface SessionRef {
  readonly token: string
  readonly id: string
}

/** A session that a visitor comes to, as far as this node knows it. */
export interface Proposal extends SessionRef {
  /** When it began here; of one that hasn't, now. Milliseconds since the epoch. */
  readonly createdAt: number
  /**
   * Whether it has begun here, under this id. Otherwise the id is a proposal (a new UUID v4, the same for all that are on
   * their way), and the answer tells the id that it has.
   */
  readonly isBegun: boolean
  /** As in {@link Share}, with this visitor counted. */
  readonly expected: readonly number[]
  readonly navigations: number
}

/** Who comes. */
export interface Visitor {
  readonly kind: 'request' | 'navigation' | 'page'
  /** The id of the page; only of a page. */
  readonly page?: string
}

/** What this node keeps of a session: read from its presence, never a second record. */
export interface Share extends SessionRef {
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly phase: 'loaded' | 'unloading' | 'unloaded'
  /** Load count, starting at 1, as far as this node knows. */
  readonly load: number
  readonly keepsLoaded: boolean
  readonly keepsState: boolean
  /** When this node stops to keep the state, if nobody comes: so long from now; `Infinity` while somebody is here. */
  readonly endIn: number
  /** Until when pages are expected here, on this node's clock, earliest first. */
  readonly expected: readonly number[]
  /** Navigations in flight whose page hasn't come yet: without those that are matched by an early page. */
  readonly navigations: number
  /** The ids of the pages that are here, each once. */
  readonly pages: readonly string[]
  /** Whether a page connected since the last load, on any node. */
  readonly hadPage: boolean
  /** Whether a page ever connected, on any node. */
  readonly everHadPage: boolean
  /** Whether it has values in this process, which no other node can see. */
  readonly hasValues: boolean
  /** Why the next unload or end is due. */
  readonly reason: 'disconnected' | 'expired'
}

/** The answer to `enter`. */
export interface Admission {
  /** The id that this node is to know the session by. It differs from the proposed one when that had not begun, or has ended. */
  readonly id: string
  /**
   * `new`: this call began the session. `returned`: it was unloaded, and this call loads it: the load hooks are this node's to
   * run. `unloading`: unload hooks are running on some node; event `loaded` tells when it is loaded again. `loaded`: none of these.
   */
  readonly phase: 'new' | 'returned' | 'unloading' | 'loaded'
  readonly createdAt: number
  readonly load: number
  /** Whether a page connected since the load, on any node: this visitor included. */
  readonly hadPage: boolean
  /**
   * Of a page: it meets an expectation of this node, or comes early for one of its navigations. `false` for a page that
   * was known, and for one that another node has expected for longer.
   */
  readonly isExpectedHere: boolean
  /** How many pages of the session other nodes have. */
  readonly pagesElsewhere: number
}

/** The answer to `report`. */
export interface Reported {
  readonly claim?: SessionClaim | undefined
  /** Whether another node expects a page of the session, or has a navigation in flight. */
  readonly pageExpected: boolean
}

/** Work that one node has to do, and no other. */
export type Claim = SessionClaim | ValueClaim

/** The unload or end of a session. */
export interface SessionClaim extends SessionRef {
  readonly phase: 'unload' | 'end'
  readonly reason: Reason
  readonly createdAt: number
  readonly load: number
  /**
   * Whether the unload hooks have to run: of an end, unless they have before, or the session was loaded by a visitor of this node
   * whose answer came after the end, so that nobody ran the load hooks.
   */
  readonly isLoaded: boolean
  /** Whether a page ever connected. */
  readonly hadPage: boolean
  /** Of an end: the shared values that end with it. */
  readonly values: readonly SharedValue[]
  /** Grows with each claim of a session; what comes with an older one is refused. */
  readonly fence: number
}

/** What a goodbye tells about what follows: `within`: another page of the app replaces it (a reload, a link). */
export type PageHint = 'within' | undefined

/** What a coordinator tells by itself. Sessions are named by this node's id. */
export interface CoordinatorEvents {
  /** In so many milliseconds {@link Coordinator.claim} may have work. May be too early, never too late. */
  due(ms: number): void
  /**
   * The session was loaded by any node.
   * @param runHooks whether the load hooks are this node's to run
   */
  loaded(id: string, load: number, hadPage: boolean, runHooks: boolean): void
  /** A newer answer has overtaken event {@link loaded}, but the hooks of that load are this node's to run. */
  runLoadHooks(id: string, load: number): void
  /** Another node has claimed the unload of that load. */
  unloaded(id: string, load: number, reason: Reason): void
  /** The session was ended elsewhere: this node's part of it ends. */
  ended(id: string, reason: Reason): void
  /** The framework session has expired, as another node has noticed. */
  expired(id: string, endIn: number): void
  /**
   * A page of the session connected at another node.
   * @param isExpectedHere it meets an expectation of this node
   */
  pageConnected(id: string, isExpectedHere: boolean): void
  /** A page that was here has entered at another node. */
  pageMoved(id: string, page: string): void
  /** A page that is here said goodbye at another node. */
  goodbye(id: string, page: string, epoch: number | undefined, hint: PageHint): void
  /** An error that the app should know of. */
  problem(error: Error): void
}
