// The settings of the model and the library, and the model's data of a session.

/** Durations in milliseconds. */
export interface Settings {
  readonly unloadDelay: number
  readonly gracePeriod: number
  readonly maxSessions: number
  /** Whether the sessions are in a cluster, which answers asynchronously. */
  readonly isAsync: boolean
}

export const HOOK_TIMEOUT = 5_003
/** How long a slow hook takes; less than the time limit. */
export const SLOW = 3_001
/** When a late hook rejects; after the time limit. */
export const LATE = 8_011

/** What a hook or a callback does when it is called. The last three use the session again. */
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

/** The options of the values of one name. */
interface ValueSettings {
  readonly timeToLive: number
  readonly deletion: 'callback' | 'dispose' | 'never'
  readonly deleteReplaced: boolean
}

export const VALUE_SETTINGS = {
  /** Defined, with an initial value. */
  history: { timeToLive: 10_007, deletion: 'callback', deleteReplaced: false },
  /** Defined, without an initial value. */
  model: { timeToLive: Number.POSITIVE_INFINITY, deletion: 'callback', deleteReplaced: true },
  /** A plain name, set with or without these options. */
  cache: { timeToLive: 40_013, deletion: 'callback', deleteReplaced: false },
  /** A plain name; its values have `Symbol.dispose`. */
  handle: { timeToLive: Number.POSITIVE_INFINITY, deletion: 'dispose', deleteReplaced: true },
} as const satisfies Record<string, ValueSettings>
export type Name = keyof typeof VALUE_SETTINGS
export const NAMES = Object.keys(VALUE_SETTINGS) as Name[]
export const NO_OPTIONS: ValueSettings = {
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

/** A deadline. Of two deadlines at the same time, the one that was set first is handled first. */
export interface Due {
  readonly at: number
  readonly serial: number
}

export interface Value {
  readonly name: Name
  readonly label: string
  settings: ValueSettings
  due: Due | undefined
}

/** One load of a session, until its unload. */
export interface Load {
  over: boolean
}

/** A page or request that is present in a session. */
export interface Entry {
  readonly session: Session
  readonly kind: Kind
  left: boolean
  /** Set while it waits for unload hooks: functions to run when the hooks have finished or the time limit has passed. */
  waiting: (() => void)[] | undefined
}

export class Page {
  /** For a page without a connection: when it last sent something. */
  seenAt = 0
  entry: Entry | undefined
  epoch = 0
  gone = false
  ticket: { readonly label: string; readonly at: number } | undefined
  connection: Connection | undefined
  /** The end of the lease of a heartbeat that arrived while the page had a connection. */
  leasedUntil = 0
  /** While it is open without a connection: the end of its lease. After it has left: when its record is dropped. */
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

export const USERS = [
  { name: 'ann', identified: true },
  { name: 'bob', identified: true },
  { name: 'cyd', identified: false },
  { name: 'dan', identified: false },
  { name: 'eve', identified: false },
  { name: 'fay', identified: false },
]

export interface Request {
  readonly label: string
  readonly user: User
  readonly kind: Kind
  /** Whether a script of a page sent it. */
  readonly isByScript: boolean
  /** Whether a page is expected after it: it started the session, and a script of a page sent it. */
  isPageExpected: boolean
  /** The token that it contained. */
  readonly token: string | undefined
  /** The token that was created for it, because it contained none. The response sets it as a cookie. */
  newToken: string | undefined
  entry: Entry | undefined
  load: Load | undefined
  /** Whether the middleware has called `next()`. */
  passed: boolean
  /** How it was answered; `broken` if its connection was lost. */
  ended: 'html' | 'json' | 'broken' | undefined
}

/** One of the app's own sockets. */
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
  /** Whether anything followed its first request. */
  returned = false
  /** How long it had pages in total. */
  pageTime = 0
  /** The time up to which `pageTime` has been counted. */
  pageTimeUntil = 0
  /** Whether a page has connected since the last load. */
  hadPage = false
  unloadAt = 0
  endAt = Number.POSITIVE_INFINITY
  /** Within a rank, the session with the lowest number is evicted first. Updated when the session becomes evictable. */
  evictionSerial = 0
  /** The deadlines of the pages that are expected to connect after navigations. */
  expectedPages: number[] = []
  /** How many pages connected before their navigation was answered. */
  earlyPages = 0
  /** How many values hooks have set. */
  setsByHooks = 0
  /** Tasks with hooks, which run one after another. */
  readonly hooks: ((done: Done) => void)[] = []
  busy = false
  callbacks = 0
  afterCallbacks: Done | undefined
  finalValues: Value[] = []
  readonly finished: Done[] = []

  constructor(name: string, token: string) {
    this.name = name
    this.token = token
  }

  get open(): boolean {
    return this.entries.size > 0
  }

  /** Whether it can be evicted: it is closed, or has nothing but the page that its first request opened. */
  get isEvictable(): boolean {
    return !this.open || (!this.returned && !this.holds('request') && !this.holds('navigation'))
  }

  /** Sessions of a lower rank are evicted first. */
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
    if (!this.hadPage && this.open) return Infinity
    return Math.max(this.unloadAt, ...this.expectedPages)
  }

  endDue(): number {
    return this.open || this.phase === 'unloading' || this.over ? Infinity : this.endAt
  }

  show(): string {
    const values = this.over && this.finalValues.length > 0 ? this.finalValues : [...this.values.values()]
    return `[${values.map(({ name, label }) => `${name}=${label}`).sort()}]`
  }
}
