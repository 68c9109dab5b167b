/** What keeps a session open. A tracked socket of the app's own counts as a page. */
export type EntryKind = 'page' | 'request' | 'navigation'

/** Who comes to a session. */
export interface Visiting {
  readonly kind: EntryKind
  /** The id of a page, by which other nodes know it too. */
  readonly page?: string
}

/** What a session is begun with. */
export interface Beginning {
  readonly info: (() => unknown) | undefined
}

/** Somebody who is present. The fields are the presence's to write. */
export interface Present {
  readonly kind: EntryKind
  left: boolean
  /** Came while unload hooks were running, and waits for the session to be loaded again. */
  waits: boolean
  /** The same visitor in the parent session. */
  above: Present | undefined
  /** Called when it waits no longer. */
  released?: (() => void) | undefined
}

/** How an entry leaves. */
export interface Departure {
  /** A page whose socket broke: it may reconnect. */
  readonly abrupt?: boolean
  /** A navigation that was answered with HTML: its page has yet to connect. */
  readonly awaitPage?: boolean
  /** A page that said goodbye because it reloads or navigates: the next page has yet to connect. */
  readonly reloads?: boolean
}

/** What the cluster answers about a visitor. */
export interface Admitted {
  /**
   * `new`: the visitor has begun the session. `returned`: it was unloaded, and the visitor has loaded it. `unloading`: unload hooks are
   * running on some node. `loaded`: none of these.
   */
  readonly phase: 'new' | 'returned' | 'unloading' | 'loaded'
  readonly load: number
  /** Whether a page connected since the load, on any node. */
  readonly hadPage: boolean
  /** Of a page: whether it meets an expectation of this node. */
  readonly isExpectedHere: boolean
}
