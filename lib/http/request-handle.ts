import { closed, GradioStateError } from '../errors.js'
import type { SessionRequest } from '../identity/request-context.js'
import type { PageHint } from '../sessions/coordinator.js'
import { findScope, findScopeLater } from '../sessions/scope-entry.js'
import { checkScopeKey } from '../sessions/scopes.js'
import type { Session } from '../sessions/session.js'
import type { Entry } from '../sessions/session-entry.js'
import type { Sessions } from '../sessions/sessions.js'
import { usable } from '../sessions/value-access.js'
import type { Reason, RequestState, ScopeState } from '../types.js'
import { FileAccess } from './file-access.js'
import type { InstanceContext } from './instance.js'
import { RequestEntry } from './request-entry.js'
import { RequestScope } from './scope-access.js'
import { SessionSockets } from './session-sockets.js'
import { tabKey } from './tab.js'
import type { WhenClosed } from './tracked-socket.js'

/** `req.gradioState`. Its methods that {@link RequestState} doesn't have are for the library's own routes. */
export class RequestHandle extends FileAccess implements RequestState {
  /** The path of the library's routes in the URLs that this process receives. A reverse proxy may have removed a prefix. */
  readonly routes: string
  readonly #instance: InstanceContext
  readonly #entry: RequestEntry
  #scopes: Map<string, RequestScope> | undefined

  constructor(instance: InstanceContext, request: SessionRequest) {
    super(instance.sessions, instance.cache)
    this.#instance = instance
    this.routes = request.base + instance.config.path
    this.#entry = new RequestEntry(instance, request)
  }

  get base(): string {
    return this.#instance.config.publicPath + this.routes
  }

  get signal(): AbortSignal {
    return this.#entry.signal
  }

  async establish(): Promise<void> {
    const entry = await this.#entry.enterLater()
    usable(entry.session)
    await entry.whenReady()
    await this.#entry.persist()
  }

  get tab(): ScopeState | undefined {
    const key = tabKey(this.#entry.request.req)
    return key === undefined ? undefined : this.scoped(key)
  }

  scoped(key: string): ScopeState {
    this.#scopes ??= new Map()
    const known = this.#scopes.get(key)
    if (known !== undefined) return known
    const scope = new RequestScope(this.#instance, this.#entry, checkScopeKey(key), this.base)
    this.#scopes.set(key, scope)
    return scope
  }

  /** See {@link RequestEntry.arrive}. */
  arrive(): Promise<void> | undefined {
    return this.#entry.arrive()
  }

  /** Reports the goodbye of a page that isn't connected to this node. @returns whether another node has the page */
  async goodbye(page: string, epoch: number | undefined, hint: PageHint): Promise<boolean> {
    const token = this.#entry.storage.find()
    const { cluster } = this.sessions
    if (token === undefined || cluster === undefined) return false
    return cluster.goodbye(token, page, epoch, hint)
  }

  /** Whether the session may have files on other nodes. */
  get isShared(): boolean {
    return this.sessions.isShared
  }

  /** Whether the framework trusts the headers of the proxy that sent this request. */
  get trustsProxy(): boolean {
    return this.#entry.request.trustsProxy
  }

  /** See {@link RequestEntry.setsCookie}. */
  get setsCookie(): boolean {
    return this.#entry.setsCookie
  }

  /** The request's token, if it leads to a session that exists, or that may exist on another node. */
  get token(): string | undefined {
    const { storage } = this.#entry
    const token = storage.find()
    if (token === undefined || this.sessions.find(token) !== undefined) return token
    return this.sessions.isShared && storage.hasToken !== false ? token : undefined
  }

  /** The session of this request's token, if it is in this process. */
  find(): Session | undefined {
    const token = this.#entry.storage.find()
    return token === undefined ? undefined : this.sessions.find(token)
  }

  /** The scope with that key in the session of this request, if it exists. Doesn't enter it, unless another node may have it. */
  async findScope(key: string): Promise<Session | undefined> {
    const session = this.find()
    const known = session && findScope(this.sessions, session, key)
    const entry = this.#entry.current()
    if (known !== undefined || !this.isShared || entry === undefined) return known
    return (await findScopeLater(this.sessions, entry, key))?.session
  }

  /** See {@link RequestEntry.persistBeforeHeaders}. */
  persistBeforeHeaders(): Promise<void> {
    return this.#entry.persistBeforeHeaders()
  }

  /** The request is a heartbeat of a page. */
  noteHeartbeat(): void {
    this.#entry.request.isHeartbeat = true
    this.#entry.mark.isUsed = true
  }

  /** The request is a heartbeat of a page in the session with that token: notes whether the browser returns the cookie. */
  noteCookie(page: string, token: string): void {
    const { request, setsCookie, returningCookies } = this.#entry
    if (setsCookie) returningCookies.given(page, token, request, this.#entry.storage)
    else returningCookies.returned(page)
  }

  /** The content of the cookie that lets a page detect that its browser has a different session. */
  markOf(token: string): string {
    return this.#entry.mark.of(token)
  }

  /** Sends the library's own cookie again, if the session was found by it. */
  renewOwnCookie(): void {
    this.#entry.storage.renewCookie?.()
  }

  /** Renews the cookie of the framework session, where this has to be done before the headers are written. */
  async renew(): Promise<void> {
    await this.#entry.storage.renew?.()
  }

  /** Enters a page into this request's session. Starts the session if there is none. */
  async enterPage(page: string): Promise<Entry> {
    const entry = await this.#entry.enterPage(page)
    // If the store hangs, the session must not stay open after the browser has given up.
    const leave = () => entry.leave()
    const removeListener = this.#entry.whenOver(leave)
    try {
      await this.#entry.persist()
      usable(entry.session)
      if (entry.left) throw pageGone()
    } catch (error) {
      leave()
      throw error
    } finally {
      removeListener()
    }
    return entry
  }

  /** Counts a socket of this user as a page until it closes. */
  track(whenClosed: WhenClosed): void {
    const session = this.use()
    whenClosed(SessionSockets.of(session).add(() => this.#enterSocket(session.token)))
  }

  /** Returns a function that ends the session that this request belongs to now, even if the request belongs to another by then. */
  ending(): (reason: Reason) => void {
    const session = this.#entry.current()?.session
    return reason => {
      if (session !== undefined) void this.sessions.end(session, reason)
    }
  }

  /** Whether this request belongs to the instance with these sessions. */
  isOf(sessions: Sessions): boolean {
    return this.sessions === sessions
  }

  /** @returns a function that makes the page that represents the socket leave */
  #enterSocket(token: string): () => void {
    const { cluster, hooks } = this.sessions
    const entering = Promise.resolve((cluster ?? this.sessions).enter(token, { kind: 'page' }))
    entering.then(
      entry => entry && hooks.events.pageOpened(entry.session.id, undefined),
      error => hooks.report(error, { source: 'cluster' }),
    )
    return () =>
      void entering.then(
        entry => {
          entry?.leave({ abrupt: true })
          if (entry !== undefined) hooks.events.pageClosed(entry.session.id, undefined)
        },
        () => {},
      )
  }

  protected use(): Session {
    if (this.sessions.closing) throw closed()
    return usable(this.#entry.enter().session)
  }

  protected async useLater(): Promise<Session> {
    if (this.sessions.closing) throw closed()
    const entry = await this.#entry.enterLater()
    await entry.whenReady()
    return usable(entry.session)
  }

  protected known(): Session | undefined {
    return this.#entry.known()
  }
}

function pageGone(): GradioStateError {
  return new GradioStateError('PAGE_GONE', 'Expected the page to wait for the response, but it has left.')
}
