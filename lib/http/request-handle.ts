import { closed, GradioStateError } from '../errors.js'
import type { Caller } from '../identity/request-context.js'
import type { Entry, Session } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import { usable } from '../sessions/value-access.js'
import type { Reason, RequestState } from '../types.js'
import { whenOver } from '../util/response-over.js'
import { FileAccess } from './file-access.js'
import type { InstanceParts } from './instance.js'
import { RequestEntry } from './request-entry.js'
import type { WhenClosed } from './tracked-socket.js'

/** `req.gradioState`, and what the library's own routes do with the session of a request. */
export class RequestHandle extends FileAccess implements RequestState {
  /** The path of the library's routes as requests have it here. */
  readonly routes: string
  readonly #publicPath: string
  readonly #entry: RequestEntry

  constructor(parts: InstanceParts, caller: Caller) {
    super(parts.sessions, parts.cache)
    const { path, publicPath } = parts.config
    this.routes = caller.base + path
    this.#publicPath = publicPath
    this.#entry = new RequestEntry(parts, caller)
  }

  get base(): string {
    return this.#publicPath + this.routes
  }

  get signal(): AbortSignal {
    return this.#entry.signal
  }

  async establish(): Promise<void> {
    const entry = await this.#entry.enterLater()
    usable(entry.session)
    await entry.ready
    await this.#entry.persist()
  }

  /** As {@link RequestEntry.arrive}. */
  arrive(): Promise<void> | undefined {
    return this.#entry.arrive()
  }

  /** Another node may hold that page of this request's session: it is told that the page says goodbye. */
  async goodbye(page: string, epoch: number | undefined): Promise<boolean> {
    const token = this.#entry.storage.find()
    const { cluster } = this.sessions
    if (token === undefined || cluster === undefined) return false
    return cluster.goodbye(token, page, epoch)
  }

  /** Whether its session may have files on other nodes. */
  get isShared(): boolean {
    return this.sessions.isShared
  }

  /** Whether the framework trusts the headers of the proxy that sent this request. */
  get trustsProxy(): boolean {
    return this.#entry.caller.trustsProxy
  }

  /** Whether this request has made the session known to the browser: its answer has to bring the cookie. */
  get introduced(): boolean {
    return this.#entry.introduced
  }

  /** Whether this request came with a session that lives, here or maybe on another node. */
  get hasSession(): boolean {
    const { storage } = this.#entry
    const token = storage.find()
    if (token === undefined) return false
    return this.sessions.find(token) !== undefined || (this.sessions.isShared && storage.hasToken !== false)
  }

  /** The session that this request came with, if it lives here: it has returned, then. */
  find(): Session | undefined {
    const token = this.#entry.storage.find()
    const session = token === undefined ? undefined : this.sessions.find(token)
    session?.noteReturn()
    return session
  }

  /** As {@link RequestEntry.persistWithHeaders}. */
  persistWithHeaders(): Promise<void> {
    return this.#entry.persistWithHeaders()
  }

  /** Lets the framework set its cookie anew, if it does so by itself. */
  async renew(): Promise<void> {
    await this.#entry.storage.renew?.()
  }

  /** Enters a page in this request's session, which is begun if need be. */
  async enterPage(page: string): Promise<Entry> {
    const entry = await this.#entry.enterPage(page)
    // A store that hangs would hold the session for longer than the browser waits.
    const leave = () => entry.leave()
    const forget = whenOver(this.#entry.caller, leave)
    try {
      await this.#entry.persist()
      usable(entry.session)
      if (entry.left) throw abandoned()
    } catch (error) {
      leave()
      throw error
    } finally {
      forget()
    }
    return entry
  }

  /** Counts a socket of this user's as a page until it closes. */
  track(whenClosed: WhenClosed): void {
    const { token } = this.use()
    const { cluster } = this.sessions
    const entering = Promise.resolve((cluster ?? this.sessions).enter(token, { kind: 'page' }))
    entering.catch(error => this.sessions.hooks.report(error, { source: 'cluster' }))
    whenClosed(
      () =>
        void entering.then(
          entry => entry?.leave({ abrupt: true }),
          () => {},
        ),
    )
  }

  /** What ends the session of this request, should its framework session be given up: also when by then it has another. */
  ending(): (reason: Reason) => void {
    const session = this.known()
    return reason => {
      if (session !== undefined) void this.sessions.end(session, reason)
    }
  }

  /** Whether this is a request of that instance. */
  isOf(sessions: Sessions): boolean {
    return this.sessions === sessions
  }

  protected use(): Session {
    if (this.sessions.closing) throw closed()
    return usable(this.#entry.enter().session)
  }

  protected async useLater(): Promise<Session> {
    if (this.sessions.closing) throw closed()
    const entry = await this.#entry.enterLater()
    await entry.ready
    return usable(entry.session)
  }

  protected known(): Session | undefined {
    return this.#entry.current()?.session
  }
}

function abandoned(): GradioStateError {
  return new GradioStateError('PAGE_GONE', 'Expected the page to wait for the answer, but it has left.')
}
