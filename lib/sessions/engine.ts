import type { Clock } from '../util/clock.js'
import type { Reason } from './reason.js'
import type { SharedValue, SharedValueStore, ValueClaim } from './shared-value-store.js'

/**
 * An engine knows who is connected, and what is due; the manager decides what that means. All delays are milliseconds
 * on the engine's own clock. An engine in this process answers synchronously, a shared one with promises.
 */
export interface Engine {
  /** Required. Whether other processes may hold the same sessions: then a session is more than what lives here. */
  readonly isShared: boolean

  /** Required. 32 random bytes that all nodes know and nobody else does. */
  readonly secret: Buffer

  /** Required. The values that all nodes share. */
  readonly values: SharedValueStore

  /**
   * Required. Called once, before anything else, with what the engine tells by itself, and what it has to know.
   */
  start(events: EngineEvents, context: EngineContext): void | Promise<void>

  /**
   * Required. Registers that `holder` holds the session of `token`, and tells which life that is. To register a holder
   * again changes nothing but the phase. Any holder puts off the end of the session; a page and a navigation put off
   * the unload too, and so does a request while the session has had no page since it was loaded.
   */
  open(token: string, holder: Holder, arrival: Arrival): MaybePromise<Life | undefined>

  /** Required. The holder has gone. Does nothing when it isn't registered, as after the end of its life. */
  release(token: string, holder: Holder, departure: Departure): MaybePromise<void>

  /**
   * Required. Ends that life of the token at once: the next `open` begins a new one. Gives the claim of what the end
   * asks for, and `undefined` where there is nothing to do beside this node's own part: somebody else has ended it, or
   * (for `evicted`) still holds it.
   */
  end(token: string, life: string, reason: EndReason): MaybePromise<Claim | undefined>

  /**
   * Required. The host session of that life is gone: the unload is due at once, whoever holds it, and the end `endIn` from
   * now, both for the reason `expired`. Those who hold it still put off the end, by their departures; a new holder takes
   * it all back. Other nodes that have a part in it hear of it by {@link EngineEvents.expired}.
   */
  expire(token: string, life: string, endIn: number): MaybePromise<void>

  /** Required. When `claim` may have something to hand out; may be too early, never too late. On the manager's clock. */
  nextDue(): number | undefined

  /**
   * Required. Hands out what is due, each to one caller, in at most `limit` steps of work. May hand out less than is
   * due; then {@link nextDue} still says so.
   */
  claim(limit: number): MaybePromise<(Claim | ValueClaim)[]>

  /**
   * Required. Whether the claim is still this node's, which asks for more time for it. To be called before anything of
   * the app's runs for the claim, and while it runs.
   */
  renew(claim: Claim | ValueClaim): MaybePromise<boolean>

  /** Required. The claim's work is done. `false`: it was lost to another node meanwhile, or the life has ended. */
  settle(claim: Claim | ValueClaim): MaybePromise<boolean>

  /** Required. Tells the node that holds that page of the session, if there is one, that it says goodbye. */
  goodbye(token: string, page: string, epoch: number | undefined): MaybePromise<boolean>

  /**
   * Required. Calls no event any more. An engine of this process forgets everything; a shared one hands back what this
   * node held and claimed.
   */
  close(): MaybePromise<void>
}

export interface EngineContext {
  /** What {@link Engine.nextDue} is told by. */
  readonly clock: Clock
  /** How those leave who hold a session on a node that dies. */
  readonly departure: Departure
}

/** What an engine tells by itself; all but `wake` only a shared one, of what other nodes have done. */
export interface EngineEvents {
  /** {@link Engine.nextDue} has become earlier. */
  wake(): void
  /** A life that has a part here was ended elsewhere. */
  gone(token: string, life: string, reason: EndReason): void
  /** A life that has a part here is unloaded by another node. */
  unloaded(life: string, reason: EndReason): void
  /** A life that is held here was unloaded by another node, which took the holders for gone; it is loaded again. */
  returned(life: string, load: number): void
  /** The host session of a life that has a part here has expired. */
  expired(life: string): void
  /** A page that this node holds was opened at another one, which holds it from now on. */
  moved(life: string, page: string): void
  /** A page that this node holds has said goodbye to another one. */
  goodbye(life: string, page: string, epoch: number | undefined): void
  /** Something that the app should know of. */
  problem(error: Error): void
}

export type MaybePromise<T> = T | Promise<T>

/** Why a session was unloaded or ended. */
export type EndReason = Reason

/** What keeps a session: a page, a navigation that may bring one, or another request in flight. */
export interface Holder {
  /** Of a page: its own id, by which other nodes know it too. */
  readonly id: string
  readonly kind: 'page' | 'navigation' | 'request'
}

export interface Arrival {
  /** Whether a life is begun where the token has none. */
  readonly create: boolean
  /** The unload is due this long from now at the earliest. A page's arrival doesn't count: its departure does. */
  readonly unloadIn: number
  /** The caller can't wait: a shared engine answers with what this node knows, and settles the rest with the others later. */
  readonly atOnce?: boolean
}

export interface Departure {
  /**
   * The unload is due this long from now at the earliest. Of a request it counts only while the session has had no
   * page since it was loaded: then nothing but its requests tells that the user is here.
   */
  readonly unloadIn: number
  /** When nobody else holds the session, it ends after this. */
  readonly endIn: number
  /** A page is on its way: this long, unless it arrives before, the unload waits for it. */
  readonly awaitPage?: number
  /** Whether the session has values in this process, which no other node can see. */
  readonly hasValues?: boolean
}

export interface Life {
  /** A uuid v4, new for each life. */
  readonly id: string
  /**
   * `new`: this call began the life. `returned`: it had been unloaded, and this call makes it loaded again.
   * `unloading`: its unload is claimed and not yet settled; open again after that. `loaded`: none of these.
   */
  readonly phase: 'new' | 'returned' | 'unloading' | 'loaded'
  /** When it began: milliseconds since the epoch. */
  readonly createdAt: number
  /** The how-manieth time it is loaded: 1 for the first. */
  readonly load: number
  /** How many of its pages other nodes hold, as far as is known. */
  readonly pagesElsewhere: number
}

/** What a node has to do for a session, and nobody else. */
export interface Claim {
  readonly token: string
  readonly life: string
  readonly phase: 'unload' | 'end'
  readonly reason: EndReason
  /** Grows with each claim of a life; a shared engine refuses what comes with an older one. */
  readonly fence: number
  readonly createdAt: number
  readonly load: number
  /** Whether the unload hooks have to run: of an end, unless they have before. */
  readonly isLoaded: boolean
  /** Whether a page was ever there. */
  readonly hadPage: boolean
  /** Of an end: the shared values that go with it. */
  readonly values: readonly SharedValue[]
}
