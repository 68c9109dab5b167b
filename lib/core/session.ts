import type { EndReason } from '../engines/engine.js'
import type { SharedValue } from '../engines/shared-values.js'
import type { SharedAccess, SharedOwner } from './shared-access.js'
import { SharedDefinition } from './shared-state.js'
import type { StateRegistry } from './state.js'
import { Values, type ValuesContext } from './values.js'
import type { SessionView, State } from './view.js'

/** What a session has to say to its pages. */
export interface Audience {
  /** They have to go: at the end, and when the host session has expired. */
  part(reason: EndReason): void
  /** Another node holds that page from now on. */
  moved(page: string): void
  /** That page has said goodbye to another node. */
  goodbye(page: string, epoch: number | undefined): void
  /** One of them is to send a request, whose answer renews the cookie of the host session. */
  renew(): void
}

/** One life of one user, as far as it lives in this process. */
export class Session implements SharedOwner {
  readonly token: string
  readonly id: string
  readonly view: SessionView
  readonly values: Values
  /** Called at the end at once, before any hook. */
  readonly farewells = new Set<(reason: EndReason) => void>()
  /** Awaited at the end, after all hooks and callbacks: what they may still use goes last. */
  readonly epilogues = new Set<() => Promise<void>>()
  /** Its pages, once there was one. */
  audience: Audience | undefined
  load = new Load(1)
  loaded = true
  /** Why it has ended; from then on nobody can use it. */
  ended: EndReason | undefined
  /** Resolves when the last callback of the end has run. */
  finished: Promise<void> | undefined
  sharedAtEnd: readonly SharedValue[] | undefined
  holders = 0
  pages = 0
  /** How many pages other nodes hold, as far as is known. */
  pagesElsewhere = 0
  hadPage = false
  /** Whether anything came after the first request. */
  returned = false
  /** Resolves when the unload that is running has been settled. */
  unloading: Promise<void> = Promise.resolve()
  /** The last load whose unload hooks were begun in this process. */
  unloadsRun = 0
  #unanswered: (() => void)[] | undefined
  #hooks: Promise<void> = Promise.resolve()
  #waiting = 0

  constructor(
    token: string,
    about: Pick<SessionView, 'id' | 'info' | 'createdAt' | 'directory'>,
    registry: StateRegistry,
    shared: SharedAccess,
    context: ValuesContext,
  ) {
    this.token = token
    this.id = about.id
    this.view = {
      ...about,
      get: (state: Pick<State<unknown>, 'name'> | string): never =>
        (state instanceof SharedDefinition
          ? shared.peek(this, state)
          : this.values.getOrFinal(registry.resolve(state)?.name ?? (state as string))) as never,
    }
    this.values = new Values(context, this.view)
  }

  /** Resolves when all hooks that were begun have settled; `undefined` when none is running. */
  get hooksRunning(): Promise<void> | undefined {
    return this.#waiting > 0 ? this.#hooks : undefined
  }

  /** Runs `task` as soon as no request of the session is in flight. */
  afterAnswers(task: () => void): void {
    this.#unanswered ??= []
    this.#unanswered.push(task)
    this.noteAnswers()
  }

  /** To be called when a request has left. */
  noteAnswers(): void {
    if (this.#unanswered === undefined || this.holders > this.pages) return
    for (const task of this.#unanswered.splice(0)) task()
  }

  /** Lets `task`, which must not reject, run after all hooks of this session that were begun before. */
  afterHooks(task: () => Promise<void>): Promise<void> {
    this.#waiting++
    this.#hooks = this.#hooks.then(task).then(() => {
      this.#waiting--
    })
    return this.#hooks
  }
}

/** The time from a load to its unload: what is done for a user who is here. */
export class Load {
  readonly serial: number
  #controller: AbortController | undefined
  #over = false

  constructor(serial: number) {
    this.serial = serial
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
