import { GradioStateError } from '../errors.js'
import type { Caller } from '../identity/request-context.js'
import type { TokenStorage } from '../identity/token-storage.js'
import type { ClusterNode } from '../sessions/cluster-node.js'
import type { EntryInit, EntryKind } from '../sessions/entry.js'
import type { Entry } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import { isOver, whenOver } from '../util/response-over.js'
import type { InstanceParts } from './instance.js'
import { isNavigation, isPage } from './navigation.js'
import { RequestSignal } from './request-signal.js'

/** Enters a request in its session: when it arrives, if the session is there, else at the first use, which begins it. */
export class RequestEntry {
  /** Whether this request has made the session known to the browser: its answer has to bring the cookie. */
  introduced = false
  readonly caller: Caller
  readonly #parts: InstanceParts
  readonly #sessions: Sessions
  /** Whether `req.session` was there when this middleware ran. */
  readonly #sawSession: boolean
  /** The framework session that the entry belongs to. */
  #hostId: unknown
  #entry: Entry | undefined
  /** The entry that the cluster has yet to answer. */
  #entering: Promise<Entry> | undefined
  #storage: TokenStorage | undefined
  readonly #signal = new RequestSignal()

  constructor(parts: InstanceParts, caller: Caller) {
    this.caller = caller
    this.#parts = parts
    this.#sessions = parts.sessions
    this.#sawSession = caller.session !== undefined
  }

  /** Where the request carries its token, as it is by now. */
  get storage(): TokenStorage {
    return this.#parts.identity.tokenStorageOf(this.caller)
  }

  /** Aborts at the unload of the load that the request belongs to. */
  get signal(): AbortSignal {
    return this.#signal.of(this.current()?.session)
  }

  /**
   * The request arrives: if it came with the token of a session that lives, it enters that. What is returned has to be
   * awaited before the request goes on.
   */
  arrive(): Promise<void> | undefined {
    const sessions = this.#sessions
    const { closing, cluster, isShared } = sessions
    if (closing) return
    const { storage } = this
    // Fast path of most requests of most apps: skips hashing the token of a framework session.
    if (storage.hasToken === false && storage.isWatched === false && !cluster?.isEntering) return
    const token = storage.find()
    if (token === undefined) return
    // A framework session that was never used here: to ask would cost each of its requests a round trip.
    if (isShared && storage.hasToken === false && sessions.find(token) === undefined) return
    this.#storage = storage
    const init = { kind: this.#kind }
    if (cluster?.mustAsk(token)) return cluster.enter(token, init).then(entry => this.#arrived(entry))
    return this.#arrived(sessions.enter(token, init))
  }

  /** The request's entry, unless it was given another framework session since, by a login or a logout. */
  current(): Entry | undefined {
    if (this.#entry === undefined) return undefined
    const { session, sessionID } = this.caller
    if (sessionID !== this.#hostId && session) {
      this.#hostId = sessionID
      const { ended, token } = this.#entry.session
      if (ended !== undefined || this.storage.find() !== token) this.#entry = undefined
    }
    return this.#entry
  }

  /** The request's entry; its first use makes it. */
  enter(): Entry {
    return this.current() ?? this.#bind(this.#begin({ kind: this.#kind }))
  }

  /** As {@link enter}, for a caller that can wait for the cluster. */
  enterLater(): Promise<Entry> {
    const { cluster } = this.#sessions
    const current = this.current()
    if (current !== undefined) return Promise.resolve(current)
    if (cluster === undefined) return Promise.resolve(this.enter())
    if (this.#entering !== undefined) return this.#entering
    const entering = this.#ask(cluster, { kind: this.#kind }).then(entry => this.#bind(entry))
    this.#entering = entering
    const isOver = () => {
      this.#entering = undefined
    }
    // Awaiters see the rejection too.
    entering.then(isOver, isOver)
    return entering
  }

  /** Enters a page, which isn't over with the request. The session is begun if need be, and made known to the browser. */
  async enterPage(page: string): Promise<Entry> {
    const { cluster } = this.#sessions
    const init: EntryInit = { kind: 'page', page }
    const entry = cluster === undefined ? this.#begin(init) : await this.#ask(cluster, init)
    this.#storage?.watchSession?.(entry.session)
    return entry
  }

  /** Resolves when the browser's next request will find the session that this one has begun. */
  async persist(): Promise<void> {
    await this.#storage?.persist()
  }

  /** Sees to it that the answer that is about to be written brings the browser the session that this request has begun. */
  async persistWithHeaders(): Promise<void> {
    if (this.introduced) await this.#storage?.persistWithHeaders?.()
  }

  #begin(init: EntryInit): Entry {
    const { storage, token, isKnown } = this.#prepare()
    const entry = this.#sessions.enter(token, init, { info: this.#info })
    this.#keep(storage, token, isKnown)
    return entry
  }

  #ask(cluster: ClusterNode, init: EntryInit): Promise<Entry> {
    const { storage, token, isKnown } = this.#prepare()
    const entering = cluster.enter(token, init, { info: this.#info })
    this.#keep(storage, token, isKnown)
    return entering
  }

  #prepare(): { storage: TokenStorage; token: string; isKnown: boolean } {
    if (!this.#sawSession && this.caller.session !== undefined && this.#parts.identity.usesFrameworkSession)
      throw mountedBefore()
    const { storage } = this
    const token = storage.prepare()
    return { storage, token, isKnown: storage.find() === token }
  }

  #keep(storage: TokenStorage, token: string, isKnown: boolean): void {
    storage.keep(token)
    this.#storage = storage
    this.introduced ||= !isKnown
  }

  #arrived(entry: Entry | undefined): Promise<void> | undefined {
    if (entry === undefined) return undefined
    return this.#bind(entry).ready?.then(() => {})
  }

  #bind(entry: Entry): Entry {
    const earlier = this.current()
    if (earlier !== undefined && earlier.session.ended === undefined) {
      entry.leave()
      return earlier
    }
    this.#entry = entry
    this.#hostId = this.caller.sessionID
    this.#storage?.watchSession?.(entry.session)
    // For a request that waits for unload hooks, the signal belongs to the load after them.
    if (entry.ready === undefined) this.#signal.follow(entry.session.load)
    else void entry.ready.then(() => this.#signal.follow(entry.session.load))
    const navigates = entry.kind === 'navigation'
    const { caller } = this
    if (isOver(caller)) entry.leave()
    else whenOver(caller, () => entry.leave({ awaitPage: navigates && isPage(caller.res) }))
    return entry
  }

  get #kind(): EntryKind {
    return isNavigation(this.caller.req) ? 'navigation' : 'request'
  }

  get #info(): (() => unknown) | undefined {
    const { info } = this.#parts.config
    return info && (() => info(this.caller.req))
  }
}

function mountedBefore(): GradioStateError {
  return new GradioStateError(
    'MOUNTED_BEFORE_SESSION',
    'Expected the session middleware before gradio-state, got it after. Call app.use(session(…)) before app.use(gradio).',
  )
}
