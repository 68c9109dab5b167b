/** What keeps a session open. A socket passed to `track()` counts as a page. */
export type EntryKind = 'page' | 'request' | 'navigation'

/** A page or request that enters a session. */
export interface EntryInit {
  readonly kind: EntryKind
  /** The id of a page, the same on all nodes. */
  readonly page?: string
  /** Set for an entry in a scope: that of the entry in its session. */
  readonly isReconnect?: boolean
}

/** Data for a new session. */
export interface SessionInit {
  readonly info: (() => unknown) | undefined
}

/** A page or request that is present in a session. Only the presence writes these fields. */
export interface PresenceEntry {
  readonly kind: EntryKind
  /** A page that has lost its socket and connects again, so it isn't the page of a navigation. */
  readonly isReconnect?: boolean
  left: boolean
  /** Entered while unload hooks were running, and waits until the session is loaded again. */
  isWaiting: boolean
  /** Called when it no longer waits. */
  onReleased?: (() => void) | undefined
}

/** The entry of a page or request in a session. */
export interface SessionEntry extends PresenceEntry {
  /** The id of a page. */
  readonly page: string | undefined
}

/** How an entry leaves. */
export interface LeaveOptions {
  /** The socket of a page broke: the page may reconnect. */
  readonly abrupt?: boolean
  /** When the page was last known to be open, if that was earlier. On the monotonic clock. */
  readonly seenAt?: number
  /** A navigation was answered with HTML: its page is expected to connect. */
  readonly awaitPage?: boolean
  /** A page said goodbye because it reloads or navigates: the next page is expected to connect. */
  readonly reloads?: boolean
}

/** The cluster's answer about an entry. */
export interface EntryAdmission {
  /**
   * `new`: the entry has started the session. `returned`: the session was unloaded, and the entry has loaded it. `unloading`: unload
   * hooks are running on some node, of a scope also those of its session. `unloaded`: a scope of an unloaded session. `loaded`: none
   * of these.
   */
  readonly phase: 'new' | 'returned' | 'unloading' | 'unloaded' | 'loaded'
  readonly load: number
  /** Whether a page connected since the load, on any node. */
  readonly hadPage: boolean
  /** Whether this node expects the page. */
  readonly isExpectedHere: boolean
}
