import { GradioStateError } from '../errors.js'
import type { Caller, Host } from '../identity/host.js'
import type { EntryKind } from '../sessions/presence.js'
import type { Reason } from '../sessions/reason.js'
import type { Entry, Session } from '../sessions/session.js'
import { type Cluster, closed, type Sessions, type Visiting } from '../sessions/sessions.js'
import { usable } from '../sessions/value-access.js'
import { isOver, whenOver } from '../util/response-over.js'
import { FileAccess } from './file-access.js'
import type { InstanceParts } from './instance.js'
import { isNavigation, isPage } from './navigation.js'
import { RequestSignal } from './request-signal.js'
import type { RequestState } from './request-state.js'
import type { WhenClosed } from './tracked-socket.js'

/** One request's way to its session. */
export class RequestHandle extends FileAccess implements RequestState {
  /** Whether this request has made the session known to the browser: its answer has to bring the cookie. */
  introduced = false
  readonly #parts: InstanceParts
  readonly #caller: Caller
  /** Whether `req.session` was there when this middleware ran. */
  readonly #sawSession: boolean
  /** The host session that the visit belongs to. */
  #hostId: unknown
  #visit: Entry | undefined
  /** The entry that the cluster has yet to answer. */
  #entering: Promise<Entry> | undefined
  #host: Host | undefined
  readonly #signal = new RequestSignal()

  constructor(parts: InstanceParts, caller: Caller) {
    super(parts.manager, parts.cache)
    this.#parts = parts
    this.#caller = caller
    this.#sawSession = caller.session !== undefined
  }

  /** Where the library's routes are for the browser. */
  get base(): string {
    return this.#caller.base + this.#parts.config.path
  }

  get signal(): AbortSignal {
    return this.#signal.of(this.known())
  }

  async establish(): Promise<void> {
    const visit = await this.#enterLater()
    usable(visit.session)
    await visit.ready
    await this.#host?.persist()
  }

  /**
   * The request arrives: if it came with the token of a session that lives, it is a visit there. What is given back
   * has to be awaited before the request goes on.
   */
  arrive(): Promise<void> | undefined {
    if (this.manager.closing) return
    const host = this.#hostOf()
    // Told without the hash that the token of a host session takes: most requests of most apps end here.
    if (host.isMarked === false && host.isFollowed === false && !this.manager.cluster?.isEntering) return
    const token = host.find()
    if (token === undefined) return
    const { isShared } = this.manager
    // A host session that was never used here: to ask would cost each of its requests a round trip.
    if (isShared && host.isMarked === false && this.manager.find(token) === undefined) return
    this.#host = host
    const { cluster } = this.manager
    const visiting = { kind: this.#kind }
    if (cluster?.mustAsk(token)) return cluster.enter(token, visiting).then(entry => this.#arrived(entry))
    return this.#arrived(this.manager.enter(token, visiting))
  }

  /** Another node may hold that page of this request's session: it is told that the page says goodbye. */
  async goodbye(page: string, epoch: number | undefined): Promise<boolean> {
    const token = this.#hostOf().find()
    const { cluster } = this.manager
    if (token === undefined || cluster === undefined) return false
    return cluster.goodbye(token, page, epoch)
  }

  /** Whether its session may have files on other nodes. */
  get isShared(): boolean {
    return this.manager.isShared
  }

  /** Whether this request came with a session that lives, here or maybe on another node. */
  get hasSession(): boolean {
    const host = this.#hostOf()
    const token = host.find()
    if (token === undefined) return false
    return this.manager.find(token) !== undefined || (this.manager.isShared && host.isMarked !== false)
  }

  /** The session that this request came with, if it lives here: it has returned, then. */
  find(): Session | undefined {
    const token = this.#hostOf().find()
    const session = token === undefined ? undefined : this.manager.find(token)
    session?.noteReturn()
    return session
  }

  /** Sees to it that the answer that is about to be written brings the browser the session that this request has begun. */
  async announce(): Promise<void> {
    if (this.introduced) await this.#host?.announce?.()
  }

  /** Lets the host set its cookie anew, if it does so by itself. */
  async renew(): Promise<void> {
    await this.#hostOf().renew?.()
  }

  /** Begins a page's visit in this request's session, and the session if need be. */
  async enterPage(page: string): Promise<Entry> {
    const { cluster } = this.manager
    const visiting: Visiting = { kind: 'page', page }
    const visit = cluster === undefined ? this.#begin(visiting) : await this.#ask(cluster, visiting)
    this.#host?.follow?.(visit.session)
    // A store that hangs would hold the session for longer than the browser waits.
    const leave = () => visit.leave()
    const forget = whenOver(this.#caller, leave)
    try {
      await this.#host?.persist()
      usable(visit.session)
      if (visit.left) throw abandoned()
    } catch (error) {
      leave()
      throw error
    } finally {
      forget()
    }
    return visit
  }

  /** Counts a socket of this user's as a page until it closes. */
  track(whenClosed: WhenClosed): void {
    const { token } = this.use()
    const { cluster } = this.manager
    const entering = Promise.resolve((cluster ?? this.manager).enter(token, { kind: 'page' }))
    entering.catch(error => this.manager.hooks.report(error, { source: 'engine' }))
    whenClosed(
      () =>
        void entering.then(
          entry => entry?.leave({ abrupt: true }),
          () => {},
        ),
    )
  }

  /** What ends the session of this request, should its host give up its own: also when by then it has another. */
  ending(): (reason: Reason) => void {
    const session = this.known()
    return reason => {
      if (session !== undefined) void this.manager.end(session, reason)
    }
  }

  /** Whether this is a request of that instance. */
  isOf(manager: Sessions): boolean {
    return this.manager === manager
  }

  protected use(): Session {
    if (this.manager.closing) throw closed()
    return usable(this.#enter().session)
  }

  protected async useLater(): Promise<Session> {
    if (this.manager.closing) throw closed()
    const visit = await this.#enterLater()
    await visit.ready
    return usable(visit.session)
  }

  protected known(): Session | undefined {
    return this.#current()?.session
  }

  #hostOf(): Host {
    return this.#parts.identity.hostOf(this.#caller)
  }

  /** This request's visit, unless it was given another host session since, by a login or a logout. */
  #current(): Entry | undefined {
    if (this.#visit === undefined) return undefined
    const { session, sessionID } = this.#caller
    if (sessionID !== this.#hostId && session) {
      this.#hostId = sessionID
      const { ended, token } = this.#visit.session
      if (ended !== undefined || this.#hostOf().find() !== token) this.#visit = undefined
    }
    return this.#visit
  }

  /** This request's visit; its first use begins it. */
  #enter(): Entry {
    return this.#current() ?? this.#bind(this.#begin({ kind: this.#kind }))
  }

  /** As {@link #enter}, for who can wait for the cluster. */
  #enterLater(): Promise<Entry> {
    const { cluster } = this.manager
    const current = this.#current()
    if (current !== undefined) return Promise.resolve(current)
    if (cluster === undefined) return Promise.resolve(this.#enter())
    if (this.#entering !== undefined) return this.#entering
    const entering = this.#ask(cluster, { kind: this.#kind }).then(entry => this.#bind(entry))
    this.#entering = entering
    const isOver = () => {
      this.#entering = undefined
    }
    // Of a failure, whoever awaits it is told too.
    entering.then(isOver, isOver)
    return entering
  }

  /** Begins a visit, and the session if need be. */
  #begin(visiting: Visiting): Entry {
    const { host, token, isKnown } = this.#prepare()
    const entry = this.manager.enter(token, visiting, { info: this.#info })
    this.#keep(host, token, isKnown)
    return entry
  }

  /** As {@link #begin}, for who can wait for the cluster. */
  #ask(cluster: Cluster, visiting: Visiting): Promise<Entry> {
    const { host, token, isKnown } = this.#prepare()
    const entering = cluster.enter(token, visiting, { info: this.#info })
    this.#keep(host, token, isKnown)
    return entering
  }

  #prepare(): { host: Host; token: string; isKnown: boolean } {
    if (!this.#sawSession && this.#caller.session !== undefined && this.#parts.identity.followsHost) {
      throw mountedBefore()
    }
    const host = this.#hostOf()
    const token = host.prepare()
    return { host, token, isKnown: host.find() === token }
  }

  #keep(host: Host, token: string, isKnown: boolean): void {
    host.keep(token)
    this.#host = host
    this.introduced ||= !isKnown
  }

  #arrived(visit: Entry | undefined): Promise<void> | undefined {
    if (visit === undefined) return undefined
    return this.#bind(visit).ready?.then(() => {})
  }

  #bind(visit: Entry): Entry {
    const earlier = this.#current()
    if (earlier !== undefined && earlier.session.ended === undefined) {
      visit.leave()
      return earlier
    }
    this.#visit = visit
    this.#hostId = this.#caller.sessionID
    this.#host?.follow?.(visit.session)
    // Of a visitor who waits for unload hooks, it is the load after them whose end the signal tells.
    if (visit.ready === undefined) this.#signal.follow(visit.session.load)
    else void visit.ready.then(() => this.#signal.follow(visit.session.load))
    const navigates = visit.kind === 'navigation'
    const caller = this.#caller
    if (isOver(caller)) visit.leave()
    else whenOver(caller, () => visit.leave({ awaitPage: navigates && isPage(caller.res) }))
    return visit
  }

  get #kind(): EntryKind {
    return isNavigation(this.#caller.req) ? 'navigation' : 'request'
  }

  get #info(): (() => unknown) | undefined {
    const { info } = this.#parts.config
    return info && (() => info(this.#caller.req))
  }
}

function abandoned(): GradioStateError {
  return new GradioStateError('PAGE_GONE', 'Expected the page to wait for the answer, but it has left.')
}

function mountedBefore(): GradioStateError {
  return new GradioStateError(
    'MOUNTED_BEFORE_SESSION',
    'Expected the session middleware before gradio-state, got it after. Call app.use(session(…)) before app.use(gradio).',
  )
}
