import { GradioStateError } from '../errors.js'
import type { SessionRequest } from '../identity/request-context.js'
import type { ReturningCookies } from '../identity/returning-cookies.js'
import type { SessionMark } from '../identity/session-mark.js'
import type { TokenStorage } from '../identity/token-storage.js'
import type { ClusterNode } from '../sessions/cluster-node.js'
import type { EntryInit, EntryKind, SessionInit } from '../sessions/entry.js'
import type { Session } from '../sessions/session.js'
import type { Entry } from '../sessions/session-entry.js'
import type { Sessions } from '../sessions/sessions.js'
import { isOver } from '../util/response-over.js'
import type { InstanceContext } from './instance.js'
import { isFromPage, isNavigation, isPage } from './navigation.js'
import { RequestSignal } from './request-signal.js'

/** Enters a request into its session: on arrival if the session exists, else at the first use, which starts the session. */
export class RequestEntry {
  /** Whether the response has to set the session cookie, since the browser doesn't have the token yet. */
  setsCookie = false
  readonly request: SessionRequest
  readonly #instance: InstanceContext
  readonly #sessions: Sessions
  /** Whether `req.session` was set when this middleware ran. */
  readonly #hadFrameworkSession: boolean
  /** The id of the framework session that the entry belongs to. */
  #frameworkSessionId: unknown
  #entry: Entry | undefined
  /** Pending until the coordinator has responded. */
  #entering: Promise<Entry> | undefined
  #storage: TokenStorage | undefined
  /** Whether a script of a page has started the session: if so, that page is expected to connect, as after a navigation. */
  #isByScript = false
  readonly #signal = new RequestSignal()

  constructor(instance: InstanceContext, request: SessionRequest) {
    this.request = request
    this.#instance = instance
    this.#sessions = instance.sessions
    this.#hadFrameworkSession = request.session !== undefined
  }

  /** Where the token of the request is stored. A login may have changed it since the request arrived. */
  get storage(): TokenStorage {
    return this.#instance.identity.tokenStorageOf(this.request)
  }

  get returningCookies(): ReturningCookies {
    return this.#instance.identity.returningCookies
  }

  get mark(): SessionMark {
    return this.#instance.identity.mark
  }

  /** Aborts at the end of the load that the request belongs to. */
  get signal(): AbortSignal {
    return this.#signal.of(this.current()?.session)
  }

  /**
   * Enters the session if the request has the token of one that exists. If a promise is returned, it has to be awaited before the
   * request continues.
   */
  arrive(): Promise<void> | undefined {
    const sessions = this.#sessions
    const { closing, cluster, isShared } = sessions
    if (closing) return
    const { storage } = this
    // Fast path for most requests in most apps: skips hashing the token of a framework session.
    if (storage.hasToken === false && storage.isWatched === false && !cluster?.isEntering) return
    const token = storage.find()
    if (token === undefined) return
    // No session belongs to the framework session yet. Asking the cluster would cost a round trip for each such request.
    if (isShared && storage.hasToken === false && sessions.find(token) === undefined) return
    this.#storage = storage
    const init = { kind: this.#kind }
    if (cluster?.mustAsk(token)) return cluster.enter(token, init).then(entry => this.#afterArrival(entry))
    return this.#afterArrival(sessions.enter(token, init))
  }

  /** Calls `listener` once when the response is over, immediately if it already is. @returns a function that removes the listener */
  whenOver(listener: () => void): () => void {
    return this.#instance.exchanges.whenOver(this.request, listener)
  }

  /** The request's entry, if it has one and no login or logout has given it another session since. */
  current(): Entry | undefined {
    if (this.#entry === undefined) return undefined
    const { session, sessionID } = this.request
    if (sessionID !== this.#frameworkSessionId && session) {
      this.#frameworkSessionId = sessionID
      const { ended, token } = this.#entry.session
      if (ended !== undefined || this.storage.find() !== token) this.#entry = undefined
    }
    return this.#entry
  }

  /** The request's entry. The first call creates it. */
  enter(): Entry {
    return this.current() ?? this.#bind(this.#enterNow({ kind: this.#kind }))
  }

  /** Like {@link enter}, for callers that can wait for the cluster. */
  enterLater(): Promise<Entry> {
    const { cluster } = this.#sessions
    const current = this.current()
    if (current !== undefined) return Promise.resolve(current)
    if (cluster === undefined) return Promise.resolve(this.enter())
    if (this.#entering !== undefined) return this.#entering
    const entering = this.#enterInCluster(cluster, { kind: this.#kind }).then(entry => this.#bind(entry))
    this.#entering = entering
    const settled = () => {
      this.#entering = undefined
    }
    // Awaiters see the rejection too.
    entering.then(settled, settled)
    return entering
  }

  /** Enters a page, whose entry outlives the request. Starts the session if there is none. */
  async enterPage(page: string): Promise<Entry> {
    const { cluster } = this.#sessions
    const init: EntryInit = { kind: 'page', page }
    const entry = cluster === undefined ? this.#enterNow(init) : await this.#enterInCluster(cluster, init)
    this.#storage?.watchSession?.(entry.session)
    this.#instance.mountPaths.note(entry.session, this.request.base)
    return entry
  }

  /** Resolves when the session that this request has started is stored, so that the browser's next request finds it. */
  async persist(): Promise<void> {
    await this.#storage?.persist()
  }

  /** Must be awaited before writing headers that set the cookie of a session started by this request. */
  async persistBeforeHeaders(): Promise<void> {
    if (this.setsCookie) await this.#storage?.persistBeforeHeaders?.()
  }

  /** The session that the request belongs to, if it has one. */
  known(): Session | undefined {
    const entry = this.current()
    if (entry === undefined) this.#expectMountedAfterSession()
    return entry?.session
  }

  #enterNow(init: EntryInit): Entry {
    return this.#enterWithToken(init, (token, ...inits) => this.#sessions.enter(token, ...inits))
  }

  #enterInCluster(cluster: ClusterNode, init: EntryInit): Promise<Entry> {
    return this.#enterWithToken(init, (token, ...inits) => cluster.enter(token, ...inits))
  }

  /** Enters with the request's token, or a new one, and stores it. */
  #enterWithToken<T>(init: EntryInit, enter: (token: string, ...inits: [EntryInit, SessionInit]) => T): T {
    this.#expectMountedAfterSession()
    const { request, storage } = this
    const { joinedSessions } = this.#instance.identity
    const token = storage.prepare()
    const { staleCredential } = storage
    const isKnown = storage.find() === token
    const begins = !(isKnown && this.#sessions.isShared) && this.#sessions.find(token) === undefined
    this.#isByScript = begins && init.kind === 'request' && isFromPage(request.req)
    const entered = enter(token, this.#isByScript ? { kind: 'navigation' } : init, { info: this.#info })
    storage.keep(token)
    this.#storage = storage
    this.setsCookie ||= !isKnown
    if (!isKnown && !storage.isWithheld) this.mark.set(token, request)
    if (!isKnown && staleCredential !== undefined) joinedSessions.begun(token, staleCredential, request)
    return entered
  }

  #expectMountedAfterSession(): void {
    if (
      !this.#hadFrameworkSession &&
      this.request.session !== undefined &&
      this.#instance.identity.usesFrameworkSession
    )
      throw mountedBeforeSession()
  }

  #afterArrival(entry: Entry | undefined): Promise<void> | undefined {
    if (entry === undefined) return undefined
    return this.#bind(entry).whenReady()
  }

  #bind(entry: Entry): Entry {
    const earlier = this.current()
    if (earlier !== undefined && earlier.session.ended === undefined) {
      entry.leave()
      return earlier
    }
    this.#entry = entry
    this.#instance.mountPaths.note(entry.session, this.request.base)
    this.#frameworkSessionId = this.request.sessionID
    this.#storage?.watchSession?.(entry.session)
    this.#signal.follow(entry)
    const isNavigating = entry.kind === 'navigation'
    const { request } = this
    const storage = this.#storage
    if (isOver(request)) entry.leave()
    else
      this.whenOver(() => {
        entry.leave({ awaitPage: isNavigating && (this.#isByScript || isPage(request.res)) })
        if (storage?.isWithheld) void this.#sessions.end(entry.session, 'ended')
      })
    return entry
  }

  get #kind(): EntryKind {
    return isNavigation(this.request.req) ? 'navigation' : 'request'
  }

  get #info(): (() => unknown) | undefined {
    const { info } = this.#instance.config
    return info && (() => info(this.request.req))
  }
}

function mountedBeforeSession(): GradioStateError {
  return new GradioStateError(
    'MOUNTED_BEFORE_SESSION',
    'Expected the session middleware before gradio-state, got it after. Call app.use(session(…)) before app.use(gradio).',
  )
}
