import type { Reason, SessionView } from '../types.js'
import type { Deadlines } from '../util/scheduler.js'
import { WheelNode } from '../util/timer-wheel.js'
import { EventSession } from './event-session.js'
import { Load } from './load.js'
import type { LocalOwner, LocalValues } from './local-shared-values.js'
import type { Presence } from './presence.js'
import type { SharedValue } from './shared-value-store.js'
import type { StateRegistry } from './value-definition.js'
import { Values, type ValuesContext } from './values.js'
import type { Departure, EntryKind, Present } from './visit.js'

/** The pages of a session, as far as it has something to say to them. One that is alone is its own audience. */
export interface Audience {
  find(page: string): Listener | undefined
  /** They have to go: at the end, and when the framework session has expired. */
  part(reason: Reason): void
  /** One of them is to send a request, whose answer renews the cookie of the framework session; `false` when none can. */
  renew(): boolean
}

/** One of them. */
export interface Listener {
  /** Another node has it from now on. */
  leave(): void
  /** It has said goodbye to another node. */
  goodbye(epoch: number | undefined): void
}

/** What all sessions of an instance share. */
export interface SessionContext {
  readonly states: StateRegistry
  readonly values: ValuesContext
  /** Where the directory of a session is, or would be. */
  readonly directoryOf: (id: string) => string
  /** An entry leaves. */
  readonly leave: (session: Session, entry: Entry, departure: Departure) => void
  /** Something has come after the first request. */
  readonly returned: (session: Session) => void
}

/** What a session is from its beginning to its end. */
export interface SessionOrigin {
  readonly token: string
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly info: unknown
}

/** One session, as far as it lives in this process: its values, the order of its hooks, what happens at its end. */
export class Session implements LocalOwner {
  readonly token: string
  readonly id: string
  readonly createdAt: number
  readonly info: unknown
  readonly presence: Presence
  readonly values: Values
  /** Where it stands in the wheel of what is due. */
  readonly due: SessionDue
  /** Its pages, once there was one. */
  audience: Audience | undefined
  /** How many pages other nodes have, as far as is known. */
  pagesElsewhere = 0
  /** Why it has ended; from then on nobody can use it. */
  ended: Reason | undefined
  /** Resolves when the last callback of the end has run. */
  finished: Promise<void> | undefined
  /** Its shared values, where they are in this process. */
  localValues: LocalValues | undefined
  /** Set while the session ends: the shared values that end with it, as far as hooks may read them. */
  sharedAtEnd: readonly SharedValue[] | undefined
  /** While unload hooks are running or about to: resolves when who waits for them may go on. Never rejects. */
  unloading: Promise<void> | undefined
  /** The last load whose unload hooks were begun in this process. */
  unloadsRun = 0
  readonly #context: SessionContext
  #returned = false
  #view: SessionView | undefined
  #load: Load | undefined
  #hooks: Promise<void> | undefined
  #onEnd: ((reason: Reason) => void)[] | undefined
  #cleanups: (() => Promise<void>)[] | undefined
  #unanswered: (() => void)[] | undefined

  constructor({ token, id, createdAt, info }: SessionOrigin, presence: Presence, context: SessionContext) {
    this.token = token
    this.id = id
    this.createdAt = createdAt
    this.info = info
    this.presence = presence
    this.#context = context
    this.values = new Values(this, context.values)
    this.due = new SessionDue(this)
  }

  get deadlines(): Deadlines {
    return this.#context.values.deadlines
  }

  /** The session as the app's functions see it: the same for all of them. */
  get view(): SessionView {
    this.#view ??= new EventSession(this, this.#context)
    return this.#view
  }

  /** How many pages are here. */
  get pages(): number {
    return this.presence.pages
  }

  get loaded(): boolean {
    return this.presence.phase === 'loaded'
  }

  /** The load that is, or that was last. */
  get load(): Load {
    this.#load ??= new Load(!this.loaded)
    return this.#load
  }

  beginLoad(): void {
    this.#load = undefined
  }

  endLoad(): void {
    const load = this.#load
    this.#load = undefined
    // Whoever sets this off, the listeners of the signal are this user's.
    if (load !== undefined) this.deadlines.context.run(() => load.end(), load)
  }

  /** Whether anything came after the first request: another one with its token, or a socket. */
  get returned(): boolean {
    return this.#returned
  }

  /** To be called for all that comes to it after its first request. */
  noteReturn(): void {
    if (this.#returned) return
    this.#returned = true
    if (this.ended === undefined) this.#context.returned(this)
  }

  /**
   * Whether it has to be kept: a request is in flight, or a page is here. A page doesn't count while there was no more than
   * the request that opened it: whoever sends such requests without a cookie would take the place of all others.
   */
  get isOpen(): boolean {
    const { here, pages } = this.presence
    return here > pages || (this.#returned && here > 0)
  }

  /** An entry leaves. */
  leave(entry: Entry, departure: Departure): void {
    this.#context.leave(this, entry, departure)
  }

  /** Resolves when all hooks that were begun have settled; `undefined` when none is running. */
  get hooksRunning(): Promise<void> | undefined {
    return this.#hooks
  }

  /** Lets `task`, which must not reject, run after all hooks of this session that were begun before. */
  afterHooks(task: () => Promise<void>): Promise<void> {
    const running = (this.#hooks ?? Promise.resolve()).then(task).then(() => {
      if (this.#hooks === running) this.#hooks = undefined
    })
    this.#hooks = running
    return running
  }

  /** Calls `listener` at the end at once, before any hook. */
  onEnd(listener: (reason: Reason) => void): void {
    this.#onEnd ??= []
    this.#onEnd.push(listener)
  }

  /** Tells those that {@link onEnd} was given. */
  tellEnd(reason: Reason): void {
    for (const listener of this.#onEnd ?? []) listener(reason)
  }

  /** Awaits `cleanup` at the end, after all hooks and callbacks: what they may still use goes last. */
  addCleanup(cleanup: () => Promise<void>): void {
    this.#cleanups ??= []
    this.#cleanups.push(cleanup)
  }

  get cleanups(): readonly (() => Promise<void>)[] {
    return this.#cleanups ?? []
  }

  /** Runs `task` as soon as no request of the session is in flight. */
  afterAnswers(task: () => void): void {
    this.#unanswered ??= []
    this.#unanswered.push(task)
    this.noteAnswers()
  }

  /** To be called when a request has left. */
  noteAnswers(): void {
    if (this.presence.here > this.presence.pages) return
    for (const task of this.#unanswered?.splice(0) ?? []) task()
  }
}

let entries = 0

/** One page or request in a session, from when it enters until it leaves. */
export class Entry implements Present {
  readonly session: Session
  readonly kind: EntryKind
  /** Of a page: its id. */
  readonly page: string | undefined
  /** Grows with each entry. */
  readonly serial = ++entries
  /** Set while unload hooks are running: the visitor awaits it before it goes on. Never rejects. */
  ready: Promise<unknown> | undefined
  left = false
  waits = false
  above: Present | undefined
  released: (() => void) | undefined

  constructor(session: Session, kind: EntryKind, page?: string) {
    this.session = session
    this.kind = kind
    this.page = page
  }

  /** A second call does nothing. */
  leave(departure: Departure = {}): void {
    if (!this.left) this.session.leave(this, departure)
  }
}

/** Stands in the timer wheel for its session. */
export class SessionDue extends WheelNode {
  readonly session: Session

  constructor(session: Session) {
    super()
    this.session = session
  }
}
