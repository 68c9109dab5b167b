import type { Events } from '../events.js'
import type { Reason, SessionView } from '../types.js'
import type { Deadlines } from '../util/scheduler.js'
import { WheelNode } from '../util/timer-wheel.js'
import type { PageHint } from './coordinator.js'
import type { LeaveOptions, SessionEntry } from './entry.js'
import { EventSession } from './event-session.js'
import { Load } from './load.js'
import type { LocalOwner, LocalValues } from './local-shared-values.js'
import type { Presence } from './presence.js'
import { type Scopes, scopeKey } from './scopes.js'
import type { SharedValue } from './shared-value-store.js'
import type { StateRegistry } from './value-definition.js'
import { Values, type ValuesContext } from './values.js'

/** The pages of a session that are connected to this process. Implemented by `SessionPages`, or by a page that is the only one. */
export interface PageList {
  find(page: string): PageHandle | undefined
  /** Disconnects all pages: at the end, or because the framework session has expired. */
  close(reason: Reason): void
  /** Asks one page to send a request, whose response renews the cookie of the framework session. `false` if no page can. */
  renew(): boolean
}

/** One of these pages. */
export interface PageHandle {
  /** Whether the page has said goodbye. */
  readonly isGone: boolean
  /** The page has connected to another node. */
  leave(): void
  /** The page has said goodbye to another node. */
  goodbye(epoch: number | undefined, hint: PageHint): void
}

/** Shared by all sessions of an instance. */
export interface SessionContext {
  readonly states: StateRegistry
  readonly values: ValuesContext
  /** The path of a session's directory, which need not exist. */
  readonly directoryOf: (id: string) => string
  /** Called when an entry leaves. */
  readonly leave: (session: Session, entry: SessionEntry, options: LeaveOptions) => void
  /** Called when a session has its second entry. */
  readonly returned: (session: Session) => void
  /** Called when a cleanup was added to a session. */
  readonly cleanupAdded: (session: Session) => void
}

/** The data of a session that never changes. */
export interface SessionOrigin {
  readonly parent: Session | undefined
  readonly token: string
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly info: unknown
}

/** The local part of one session: its values, the order of its hooks, the cleanups at its end. */
export class Session implements LocalOwner {
  /** Of a scope: the session that it belongs to. */
  readonly parent: Session | undefined
  readonly token: string
  readonly id: string
  readonly createdAt: number
  readonly info: unknown
  readonly presence: Presence
  readonly values: Values
  /** Its node in the timer wheel. */
  readonly due: SessionDue
  /** Its scopes; `undefined` before the first. */
  scopes: Scopes<Session> | undefined
  /** Its pages; `undefined` before the first. */
  pageList: PageList | undefined
  /** How many pages are connected to other nodes, as far as this node knows. */
  pagesElsewhere = 0
  /** Why it has ended. Once set, the session can't be used any more. */
  ended: Reason | undefined
  /** Resolves when the last callback of the end has settled. */
  finished: Promise<void> | undefined
  /** Its shared values, in a process without a cluster. */
  localValues: LocalValues | undefined
  /** Set while the session ends: the shared values that hooks can still read. */
  sharedAtEnd: readonly SharedValue[] | undefined
  /** Set while unload hooks are running or about to. Resolves when waiting entries may continue. Never rejects. */
  unloading: Promise<void> | undefined
  /** How many requests wait for unload hooks in `Entry.whenReady`. */
  waitingRequests = 0
  /** The last load whose unload hooks this process has started. */
  unloadsRun = 0
  readonly #context: SessionContext
  #returned = false
  #view: SessionView | undefined
  #load: Load | undefined
  #hooks: Promise<void> | undefined
  #onEnd: ((reason: Reason) => void)[] | undefined
  #cleanups: (() => Promise<void>)[] | undefined
  #unanswered: (() => void)[] | undefined

  constructor(
    { parent, token, id, createdAt, info }: SessionOrigin,
    presence: Presence,
    context: SessionContext,
  ) {
    this.parent = parent
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

  get events(): Events {
    return this.#context.values.hooks.events
  }

  /** The session as the app's functions see it: the same object for all of them. */
  get view(): SessionView {
    this.#view ??= new EventSession(this, this.#context)
    return this.#view
  }

  /** The key of a scope. */
  get key(): string | undefined {
    return this.parent && scopeKey(this.token)
  }

  /** How many pages are connected to this process. */
  get pages(): number {
    return this.presence.pages
  }

  get loaded(): boolean {
    return this.presence.phase === 'loaded'
  }

  /** The current load, or the last one. */
  get load(): Load {
    this.#load ??= new Load(!this.loaded)
    return this.#load
  }

  /** A load that was not ended continues: in a cluster, an answer may be about it. */
  beginLoad(): void {
    if (this.#load?.isOver) this.#load = undefined
  }

  endLoad(): void {
    const load = this.#load
    this.#load = undefined
    // Listeners of the signal run in the instance's async context, whichever request causes the unload.
    if (load !== undefined) this.deadlines.context.run(() => load.end(), load)
  }

  /** Whether there was a second entry: another request with its token, or a socket. */
  get returned(): boolean {
    return this.#returned
  }

  /** Must be called for each entry after the first. */
  noteReturn(): void {
    if (this.#returned) return
    this.#returned = true
    if (this.ended === undefined) this.#context.returned(this)
  }

  /** Must be called for the goodbye of a page. A late one, to a closed session, isn't a return. */
  noteGoodbye(): void {
    if (this.presence.entryCount > 0) this.noteReturn()
  }

  /**
   * Whether it can't be evicted: a request is in flight, or a page is connected. A page doesn't count before a second entry:
   * otherwise clients that open pages without cookies could evict all other sessions.
   */
  get isOpen(): boolean {
    const { entryCount, pages } = this.presence
    return entryCount > pages || (this.#returned && entryCount > 0)
  }

  /** An entry leaves. */
  leave(entry: SessionEntry, options: LeaveOptions): void {
    this.#context.leave(this, entry, options)
  }

  /** Resolves when all hooks that were started have settled; `undefined` if none is running. */
  get hooksRunning(): Promise<void> | undefined {
    return this.#hooks
  }

  /** Runs `task`, which must not reject, after all hooks of this session that were started before. */
  afterHooks(task: () => Promise<void>): Promise<void> {
    const running = (this.#hooks ?? Promise.resolve()).then(task).then(() => {
      if (this.#hooks === running) this.#hooks = undefined
    })
    this.#hooks = running
    return running
  }

  /** Calls `listener` when the session ends, before any hook runs. */
  onEnd(listener: (reason: Reason) => void): void {
    this.#onEnd ??= []
    this.#onEnd.push(listener)
  }

  /** Calls the listeners that {@link onEnd} has added. */
  notifyEnd(reason: Reason): void {
    for (const listener of this.#onEnd ?? []) listener(reason)
  }

  /** Adds a cleanup that is awaited at the end, after all hooks and callbacks, which may still use what it removes. */
  addCleanup(cleanup: () => Promise<void>): void {
    this.#cleanups ??= []
    this.#cleanups.push(cleanup)
    this.#context.cleanupAdded(this)
  }

  get cleanups(): readonly (() => Promise<void>)[] {
    return this.#cleanups ?? []
  }

  /** Runs `task` when no request of the session is in flight. */
  afterResponses(task: () => void): void {
    this.#unanswered ??= []
    this.#unanswered.push(task)
    this.noteAnswers()
  }

  /** Must be called when a request has left. */
  noteAnswers(): void {
    if (this.presence.entryCount > this.presence.pages) return
    for (const task of this.#unanswered?.splice(0) ?? []) task()
  }
}

/** The node of a session in the timer wheel. */
export class SessionDue extends WheelNode {
  readonly session: Session

  constructor(session: Session) {
    super()
    this.session = session
  }
}
