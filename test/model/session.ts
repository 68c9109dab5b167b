// The settings of the model and of the library, and what the model knows of a session.

/** Durations in milliseconds. */
export interface Settings {
  readonly unloadDelay: number
  readonly gracePeriod: number
  readonly maxSessions: number
  /** Whether the sessions are in a cluster, which answers later. */
  readonly isAsync: boolean
}

export const HOOK_TIMEOUT = 5_003
/** How long hooks that are slow take, and how late those are that fail after their time limit. */
export const SLOW = 3_001
export const LATE = 8_011

/** What a hook or a callback does when it is called. The last three come back to the session. */
export type Mode =
  | 'returns'
  | 'resolves'
  | 'throws'
  | 'rejects'
  | 'slow'
  | 'hangs'
  | 'late'
  | 'sets'
  | 'deletes'
  | 'ends'
export type Source = 'load' | 'unload' | 'ended' | 'deleteCallback'
export type Modes = Record<Source, Mode>

export type EndReason = 'disconnected' | 'evicted' | 'ended' | 'shutdown'
export type Kind = 'page' | 'navigation' | 'request'

/** How the values of one name are kept. */
interface Keeping {
  readonly timeToLive: number
  readonly deletion: 'callback' | 'dispose' | 'never'
  readonly deleteReplaced: boolean
}

export const KEEPING = {
  /** Defined, with an initial value. */
  history: { timeToLive: 10_007, deletion: 'callback', deleteReplaced: false },
  /** Defined, without one. */
  model: { timeToLive: Number.POSITIVE_INFINITY, deletion: 'callback', deleteReplaced: true },
  /** A plain name, set with or without these options. */
  cache: { timeToLive: 40_013, deletion: 'callback', deleteReplaced: false },
  /** A plain name; its values have `Symbol.dispose`. */
  handle: { timeToLive: Number.POSITIVE_INFINITY, deletion: 'dispose', deleteReplaced: true },
} as const satisfies Record<string, Keeping>
export type Name = keyof typeof KEEPING
export const NAMES = Object.keys(KEEPING) as Name[]
export const NO_OPTIONS: Keeping = {
  timeToLive: Number.POSITIVE_INFINITY,
  deletion: 'never',
  deleteReplaced: false,
}

/** What an app does with `req.gradioState`. `bare`: a plain name set without options; `same`: the identical reference. */
export type Use =
  | 'get'
  | 'set'
  | 'bare'
  | 'same'
  | 'update'
  | 'touch'
  | 'has'
  | 'delete'
  | 'id'
  | 'establish'
  | 'end'

/** Of two that are due at once, the one comes first that was set first. */
export interface Due {
  readonly at: number
  readonly serial: number
}

export interface Value {
  readonly name: Name
  readonly label: string
  keeping: Keeping
  due: Due | undefined
}

/** From a load to its unload. */
export interface Load {
  over: boolean
}

/** The stay of a page or a request. */
export interface Entry {
  readonly session: Session
  readonly kind: Kind
  left: boolean
  /** While it waits for unload hooks: what it does when they are done, or it has waited long enough. */
  waiting: (() => void)[] | undefined
}

export class Page {
  /** When it has last sent something, while it has no connection. */
  seenAt = 0
  entry: Entry | undefined
  epoch = 0
  gone = false
  ticket: { readonly label: string; readonly at: number } | undefined
  connection: Connection | undefined
  /** After a beat that came while there was a connection: so long it may do without. */
  leasedUntil = 0
  /** While it is open without a connection: until when a beat is awaited. When it has left: how long it is remembered. */
  due: Due | undefined

  enter(entry: Entry): void {
    this.entry = entry
    this.gone = false
  }

  isOutdated(n: number): boolean {
    return n < (this.gone ? this.epoch + 1 : this.epoch)
  }
}

export interface Connection {
  readonly label: string
  readonly page: Page
}

export interface User {
  /** Whether the app identifies the user, by the `identify` option. */
  readonly identified: boolean
  readonly name: string
  token: string | undefined
}

export interface Request {
  readonly label: string
  readonly user: User
  readonly kind: Kind
  /** Whether a script of a page has sent it. */
  readonly isByScript: boolean
  /** Whether a page follows it: it has begun the session, and a script of a page has sent it. */
  isFollowed: boolean
  /** The token that it came with. */
  readonly token: string | undefined
  /** What it has made for a browser that had none: the answer brings it. */
  newToken: string | undefined
  entry: Entry | undefined
  load: Load | undefined
  /** Whether the middleware has let it through. */
  passed: boolean
  /** How it was answered, or that its line broke. */
  ended: 'html' | 'json' | 'broken' | undefined
}

/** A socket of the app's own. */
export interface Tracked {
  entry: Entry | undefined
  isClosed: boolean
}

export type Done = () => void

export class Session {
  readonly name: string
  readonly token: string
  phase: 'loaded' | 'unloading' | 'unloaded' = 'loaded'
  over: EndReason | undefined
  load: Load = { over: false }
  readonly entries = new Set<Entry>()
  waiting: Entry[] = []
  readonly values = new Map<Name, Value>()
  readonly pages = new Map<string, Page>()
  /** Whether anything has come after its first request. */
  returned = false
  /** How long pages were here, in all, and until when that was counted. */
  pageTime = 0
  pageTimeUntil = 0
  /** Whether a page was here since the last load. */
  sawPage = false
  unloadAt = 0
  endAt = Number.POSITIVE_INFINITY
  /** When it was closed, or came to be one that makes room for others though it is open, in the order of all these. */
  spareSince = 0
  /** Until when pages are awaited that navigations have brought to the browser. */
  awaited: number[] = []
  /** Pages that came while the answer to their navigation was under way. */
  early = 0
  /** Values that hooks have set. */
  again = 0
  /** Hooks run one after the other. */
  readonly hooks: ((done: Done) => void)[] = []
  busy = false
  callbacks = 0
  afterCallbacks: Done | undefined
  final: Value[] = []
  readonly finished: Done[] = []

  constructor(name: string, token: string) {
    this.name = name
    this.token = token
  }

  get open(): boolean {
    return this.entries.size > 0
  }

  /** Whether it makes room for others: also while it has nothing but the page that its first request has opened. */
  get isSpare(): boolean {
    return !this.open || (!this.returned && !this.holds('request') && !this.holds('navigation'))
  }

  /** How much a session has shown that it is a user's: those that have shown less make room first. */
  get rank(): number {
    if (!this.returned) return 0
    return this.pageTime < 30_000 ? 1 : 2
  }

  holds(kind: Kind): boolean {
    return [...this.entries].some(entry => entry.kind === kind)
  }

  unloadDue(): number {
    if (this.phase !== 'loaded' || this.over || this.holds('page') || this.holds('navigation'))
      return Infinity
    if (!this.sawPage && this.open) return Infinity
    return Math.max(this.unloadAt, ...this.awaited)
  }

  endDue(): number {
    return this.open || this.phase === 'unloading' || this.over ? Infinity : this.endAt
  }

  show(): string {
    const values = this.over && this.final.length > 0 ? this.final : [...this.values.values()]
    return `[${values.map(({ name, label }) => `${name}=${label}`).sort()}]`
  }
}
