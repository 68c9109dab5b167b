/**
 * An engine knows who is connected, and what is due; the manager decides what that means. All delays are milliseconds
 * on the engine's own clock. An engine in this process answers synchronously, a shared one with promises.
 */
export interface Engine {
  /** Required. Called once, before anything else, with what the engine tells by itself. */
  start(events: EngineEvents): void | Promise<void>

  /**
   * Required. Registers that `holder` holds the session of `token`, and tells which life that is. To register a holder
   * again changes nothing but the phase. Any holder puts off the end of the session; a page and a navigation put off
   * the unload too, and so does a request while the session has had no page since it was loaded.
   */
  open(token: string, holder: Holder, arrival: Arrival): MaybePromise<Life | undefined>

  /** Required. The holder has gone. Does nothing when it isn't registered, as after the end of its life. */
  release(token: string, holder: Holder, departure: Departure): MaybePromise<void>

  /** Required. Ends that life of the token at once: the next `open` begins a new one. */
  end(token: string, life: string, reason: EndReason): MaybePromise<void>

  /**
   * Required. The host session of that life is gone: the unload is due at once, whoever holds it, and the end `endIn` from
   * now, both for the reason `expired`. Those who hold it still put off the end, by their departures; a new holder takes
   * it all back.
   */
  expire(token: string, life: string, endIn: number): MaybePromise<void>

  /** Required. When `claim` may have something to hand out; may be too early, never too late. On the manager's clock. */
  nextDue(): number | undefined

  /**
   * Required. Hands out what is due, each to one caller, in at most `limit` steps of work. May hand out less than is
   * due; then {@link nextDue} still says so.
   */
  claim(limit: number): MaybePromise<Claim[]>

  /** Required. Asks for more time for a claim. `false`: it was lost to another node. */
  renew(claim: Claim): MaybePromise<boolean>

  /** Required. The claim's work is done. `false`: it was lost to another node meanwhile, or the life has ended. */
  settle(claim: Claim): MaybePromise<boolean>

  /** Required. Forgets everything and calls no event any more. */
  close(): MaybePromise<void>
}

export interface EngineEvents {
  /** {@link Engine.nextDue} has become earlier. */
  wake(): void
  /** A life that has a part here was ended elsewhere. */
  gone(token: string, life: string, reason: EndReason): void
}

export type MaybePromise<T> = T | Promise<T>

/** Why a session was unloaded or ended. */
export type EndReason =
  | 'disconnected'
  | 'expired'
  | 'destroyed'
  | 'regenerated'
  | 'evicted'
  | 'ended'
  | 'shutdown'

/** What keeps a session: a page, a navigation that may bring one, or another request in flight. */
export interface Holder {
  readonly id: string
  readonly kind: 'page' | 'navigation' | 'request'
}

export interface Arrival {
  /** Whether a life is begun where the token has none. */
  readonly create: boolean
  /** The unload is due this long from now at the earliest. A page's arrival doesn't count: its departure does. */
  readonly unloadIn: number
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
}

export interface Life {
  /** A uuid v4, new for each life. */
  readonly id: string
  /**
   * `new`: this call began the life. `returned`: it had been unloaded, and this call makes it loaded again.
   * `unloading`: its unload is claimed and not yet settled; open again after that. `loaded`: none of these.
   */
  readonly phase: 'new' | 'returned' | 'unloading' | 'loaded'
}

export interface Claim {
  readonly token: string
  readonly life: string
  readonly phase: 'unload' | 'end'
  readonly reason: EndReason
  /** Grows with each claim of a life; a shared engine refuses what comes with an older one. */
  readonly fence: number
}
