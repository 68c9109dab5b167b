import { GradioStateError, invalid } from '../errors.js'
import type { Config } from '../options.js'
import type { Sessions } from '../sessions/sessions.js'
import { neglect } from '../util/foreign-promise.js'
import { Warnings, warnOfLateSession } from '../warnings.js'
import { CustomSession, type CustomSessions } from './custom-session.js'
import type { ExpiryWatcher } from './expiry-watcher.js'
import { ExpressSession, hasExpressSession } from './express-session.js'
import { JoinedSessions } from './joined-sessions.js'
import { koaSessionStorage } from './koa-session.js'
import { OwnCookie, type OwnCookieContext } from './own-cookie.js'
import type { SessionRequest } from './request-context.js'
import { ReturningCookies } from './returning-cookies.js'
import { SessionMark } from './session-mark.js'
import type { StoredSessionContext } from './stored-session.js'
import { isRandomToken, tokenOfUser } from './token.js'
import type { TokenStorage } from './token-storage.js'
import { WorkerTags } from './worker-tags.js'

/** Decides where a request's session token is stored: framework session, own cookie, or the result of `identify()`. */
export class Identity {
  readonly mark: SessionMark
  readonly joinedSessions: JoinedSessions
  readonly returningCookies: ReturningCookies
  readonly warnOfSeveralProcesses: () => void
  readonly #config: Config
  readonly #watcher: ExpiryWatcher
  readonly #customSessions: CustomSessions
  readonly #ownCookies: OwnCookieContext
  readonly #stored: StoredSessionContext
  /** Whether framework sessions are expected: after the first one, or with the option `store`. Then a request without one is refused. */
  #expectsSession: boolean
  /** Whether sessions have started with the library's own cookie because there was no framework session. */
  #usedOwnCookie = false

  constructor(config: Config, watcher: ExpiryWatcher, sessions: Sessions) {
    this.#config = config
    this.#watcher = watcher
    this.#customSessions = { isProven: false }
    const warnings = new Warnings()
    this.warnOfSeveralProcesses = () => warnings.severalProcesses()
    const workerTags = sessions.isShared ? undefined : WorkerTags.ofThisProcess(this.warnOfSeveralProcesses)
    this.#ownCookies = { config: config.cookie, warnings, workerTags }
    this.returningCookies = new ReturningCookies(warnings, token => sessions.find(token) !== undefined)
    this.mark = new SessionMark(config.cookie)
    this.joinedSessions = new JoinedSessions(sessions)
    this.#stored = { watcher, onRegenerate: config.onRegenerate }
    this.#expectsSession = config.store !== undefined || config.session === 'framework'
  }

  tokenStorageOf(request: SessionRequest): TokenStorage {
    const { req } = request
    const { identify, session } = this.#config
    const own = identify?.(req)
    if (own !== undefined) return identified(own)
    if (session === 'cookie') return this.#ownCookie(request)
    const frameworkSession = request.session
    if (typeof frameworkSession === 'object' && frameworkSession !== null) {
      if (this.#usedOwnCookie && !this.#expectsSession) warnOfLateSession()
      this.#expectsSession = true
      const storage = this.#frameworkSession(request, frameworkSession)
      const joined = this.joinedSessions.tokenFor(storage, request)
      return joined === undefined ? storage : stored(joined)
    }
    return this.#expectsSession ? UNAVAILABLE : this.#ownCookie(request, this.#noteOwnCookie)
  }

  /** Each request records it on arrival, see {@link EndedSessions}. */
  get endedSerial(): number {
    return this.#watcher.endedSessions.serial
  }

  #frameworkSession(request: SessionRequest, session: object): TokenStorage {
    const { req, res, koaSession } = request
    if (koaSession === undefined && hasExpressSession(req))
      return new ExpressSession(req, res, this.#stored, request.endedSerial, this.#config.store)
    const customSessions = this.#customSessions
    const ownCookie = this.#ownCookie(request)
    if (koaSession === undefined) return new CustomSession(session, ownCookie, customSessions)
    return koaSessionStorage({
      koaSession,
      session,
      request,
      context: this.#stored,
      ownCookie,
      customSessions,
    })
  }

  #ownCookie(request: SessionRequest, onUse?: () => void): OwnCookie {
    return new OwnCookie(request, this.#ownCookies, onUse)
  }

  readonly #noteOwnCookie = () => {
    this.#usedOwnCookie = true
  }

  /** How often an open page has to renew the library's own cookie, in milliseconds; `Infinity` if its session has another token. */
  renewalInterval(token: string): number {
    return isRandomToken(token) ? this.#config.cookie.maxAge * 500 : Number.POSITIVE_INFINITY
  }

  /** Whether sessions are found by `req.session`, so that the session middleware has to run before this one. */
  get usesFrameworkSession(): boolean {
    return this.#config.session !== 'cookie' && this.#config.identify === undefined
  }
}

function identified(own: unknown): TokenStorage {
  if (typeof own !== 'string' || own === '') {
    neglect(own)
    throw invalid('the result of identify()', 'a string or undefined', own)
  }
  const token = tokenOfUser(own)
  return stored(token)
}

/** The storage of a token that the request already has, without its own cookie or session. */
function stored(token: string): TokenStorage {
  return { find: () => token, prepare: () => token, keep: () => {}, persist: async () => {} }
}

const UNAVAILABLE: TokenStorage = {
  find: () => undefined,
  prepare: () => {
    throw new GradioStateError(
      'FRAMEWORK_SESSION_UNAVAILABLE',
      "Expected req.session, got none on this request: its store may be unavailable, or the session was destroyed. Try again later, or set { session: 'cookie' } to work without framework sessions.",
    )
  },
  keep: () => {},
  persist: async () => {},
}
