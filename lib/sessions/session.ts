import { WALL_ORIGIN } from '../util/clock.js'
import type { Deadlines } from '../util/scheduler.js'
import type { EndReason, Holder } from './engine.js'
import type { SessionView, State } from './session-view.js'
import { SharedDefinition } from './shared-definition.js'
import type { SharedValue } from './shared-value-store.js'
import type { SharedAccess, SharedOwner } from './shared-values.js'
import type { StateRegistry } from './value-definition.js'
import { Values, type ValuesContext } from './values.js'

/** The pages of a session, as far as it has something to say to them. One that is alone is its own audience. */
export interface Audience {
  find(page: string): Listener | undefined
  /** They have to go: at the end, and when the host session has expired. */
  part(reason: EndReason): void
  /** One of them is to send a request, whose answer renews the cookie of the host session; `false` when none can. */
  renew(): boolean
}

/** One of them. */
export interface Listener {
  /** Another node holds it from now on. */
  leave(): void
  /** It has said goodbye to another node. */
  goodbye(epoch: number | undefined): void
}

/** How a visitor goes. */
export interface Leaving {
  /** A socket broke, so the page may come back. */
  readonly abrupt?: boolean
  /** The answer was a page, which has yet to connect. */
  readonly awaitPage?: boolean
}

/** What all sessions of an instance share. */
export interface SessionContext {
  readonly states: StateRegistry
  readonly shared: SharedAccess
  readonly values: ValuesContext
  /** Where the directory of a session is, or would be. */
  readonly directoryOf: (id: string) => string
  /** A visitor has gone. */
  readonly leave: (session: Session, visitor: Holder, leaving: Leaving) => void
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

/**
 * One life of one user, as far as it lives in this process. Most of its life nobody is here: what such a session does
 * not need is not made before it is asked for, since each empty Set, promise or closure adds a tenth to its memory. For the
 * same reason its methods are private to the compiler alone: V8 marks each object of a class with `#methods`.
 */
export class Session extends Values implements SharedOwner {
  readonly token: string
  readonly id: string
  readonly #begunAt: number
  readonly info: unknown
  readonly #context: SessionContext
  #view: SessionView | undefined
  #extras: Extras | undefined
  loaded = true
  /** The how-manieth time it is loaded, or was last. */
  loadSerial: number
  #load: Load | undefined
  /** Its pages, once there was one. */
  audience: Audience | undefined
  holders = 0
  pages = 0
  #returned = false
  /** While an unload is running: resolves when it has been settled. */
  unloading: Promise<void> | undefined
  /** The last load whose unload hooks were begun in this process. */
  unloadsRun = 0
  #hooks: Promise<void> | undefined

  constructor(origin: SessionOrigin, loadSerial: number, context: SessionContext) {
    super()
    this.token = origin.token
    this.id = origin.id
    this.#begunAt = origin.createdAt - WALL_ORIGIN
    this.info = origin.info
    this.loadSerial = loadSerial
    this.#context = context
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
    return this.holders > this.pages || (this.#returned && this.holders > 0)
  }

  /** What it holds: an object of their own would take a tenth of its memory. */
  get values(): Values {
    return this
  }

  get createdAt(): number {
    return WALL_ORIGIN + this.#begunAt
  }

  get deadlines(): Deadlines {
    return this.#context.values.deadlines
  }

  protected get valuesContext(): ValuesContext {
    return this.#context.values
  }

  /** The session as the app's functions see it: the same for all of them. */
  get view(): SessionView {
    this.#view ??= new View(this, this.#context)
    return this.#view
  }

  /** The load that is, or that was last. */
  get load(): Load {
    this.#load ??= new Load(!this.loaded || this.ended !== undefined)
    return this.#load
  }

  beginLoad(serial: number): void {
    this.loaded = true
    this.loadSerial = serial
    this.#load = undefined
  }

  endLoad(): void {
    this.#load?.end()
    this.#load = undefined
  }

  /** Resolves when all hooks that were begun have settled; `undefined` when none is running. */
  get hooksRunning(): Promise<void> | undefined {
    return this.#hooks
  }

  /** A visitor has gone. */
  leave(visitor: Holder, leaving: Leaving): void {
    this.#context.leave(this, visitor, leaving)
  }

  /** Why it has ended; from then on nobody can use it. */
  get ended(): EndReason | undefined {
    return this.#extras?.ended
  }

  set ended(reason: EndReason) {
    this.extra.ended = reason
  }

  /** How many pages other nodes hold, as far as is known. */
  get pagesElsewhere(): number {
    return this.#extras?.pagesElsewhere ?? 0
  }

  set pagesElsewhere(count: number) {
    if (count !== this.pagesElsewhere) this.extra.pagesElsewhere = count
  }

  /** Resolves when the last callback of the end has run. */
  get finished(): Promise<void> | undefined {
    return this.#extras?.finished
  }

  set finished(finished: Promise<void>) {
    this.extra.finished = finished
  }

  get sharedAtEnd(): readonly SharedValue[] | undefined {
    return this.#extras?.sharedAtEnd
  }

  set sharedAtEnd(values: readonly SharedValue[]) {
    this.extra.sharedAtEnd = values
  }

  /** Calls `farewell` at the end at once, before any hook. */
  atEnd(farewell: (reason: EndReason) => void): void {
    this.extra.farewells.push(farewell)
  }

  sayFarewell(reason: EndReason): void {
    for (const farewell of this.#extras?.farewells ?? []) farewell(reason)
  }

  /** Awaits `epilogue` at the end, after all hooks and callbacks: what they may still use goes last. */
  afterEnd(epilogue: () => Promise<void>): void {
    this.extra.epilogues.push(epilogue)
  }

  get epilogues(): readonly (() => Promise<void>)[] {
    return this.#extras?.epilogues ?? []
  }

  /** Runs `task` as soon as no request of the session is in flight. */
  afterAnswers(task: () => void): void {
    this.extra.unanswered.push(task)
    this.noteAnswers()
  }

  /** To be called when a request has left. */
  noteAnswers(): void {
    if (this.#extras === undefined || this.holders > this.pages) return
    for (const task of this.#extras.unanswered.splice(0)) task()
  }

  /** Lets `task`, which must not reject, run after all hooks of this session that were begun before. */
  afterHooks(task: () => Promise<void>): Promise<void> {
    const running = (this.#hooks ?? Promise.resolve()).then(task).then(() => {
      if (this.#hooks === running) this.#hooks = undefined
    })
    this.#hooks = running
    return running
  }

  private get extra(): Extras {
    this.#extras ??= new Extras()
    return this.#extras
  }
}

/** What a session does not have while nobody uses more of it than its values. */
class Extras {
  ended: EndReason | undefined
  pagesElsewhere = 0
  finished: Promise<void> | undefined
  sharedAtEnd: readonly SharedValue[] | undefined
  readonly farewells: ((reason: EndReason) => void)[] = []
  readonly epilogues: (() => Promise<void>)[] = []
  /** To be done when no request is in flight. */
  readonly unanswered: (() => void)[] = []
}

/** What hooks and callbacks see. */
class View implements SessionView {
  readonly id: string
  readonly info: unknown
  readonly #session: Session
  readonly #context: SessionContext

  constructor(session: Session, context: SessionContext) {
    this.id = session.id
    this.info = session.info
    this.#session = session
    this.#context = context
  }

  get createdAt(): Date {
    return new Date(this.#session.createdAt)
  }

  get directory(): string {
    return this.#context.directoryOf(this.id)
  }

  get(state: Pick<State<unknown>, 'name'> | string): never {
    const { states, shared } = this.#context
    if (state instanceof SharedDefinition) return shared.peek(this.#session, state) as never
    return this.#session.values.getOrFinal(states.resolve(state)?.name ?? (state as string)) as never
  }

  /** As it stands in logs. */
  toJSON() {
    const { id, createdAt, info, directory } = this
    return { id, createdAt, info, directory }
  }
}

/** The time from a load to its unload: what is done for a user who is here. */
export class Load {
  #controller: AbortController | undefined
  #over: boolean

  constructor(isOver: boolean) {
    this.#over = isOver
  }

  /** Aborts at the unload. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#over) this.#controller.abort()
    return this.#controller.signal
  }

  end(): void {
    this.#over = true
    this.#controller?.abort()
  }
}
