import { GradioStateError, invalid } from '../errors.js'
import type { Config } from '../options.js'
import { neglect } from '../util/foreign-promise.js'
import { warnOfLateSession } from '../warnings.js'
import { CarriedHost, type Carrying } from './custom-session.js'
import type { ExpiryWatch } from './expiry-watcher.js'
import { ExpressSessionHost, hasExpressSession } from './express-session.js'
import type { Caller, Host } from './host.js'
import { koaSessionHost } from './koa-session.js'
import { CookieHost } from './own-cookie.js'
import { Mint } from './signed-token.js'
import type { StoredHostContext } from './stored-session.js'
import { tokenOfUser } from './token.js'

/** Tells which host a request's session is found by. */
export class Identity {
  readonly #config: Config
  readonly #watch: ExpiryWatch
  readonly #carrying: Carrying
  readonly #stored: StoredHostContext
  /** Whether framework sessions are expected: from the first on, and where a store was given. Then a missing one is a fault, not another identity. */
  #expectsSession: boolean
  /** Whether sessions have begun by the own cookie, for want of a framework session. */
  #usedOwnCookie = false

  /** @param secret gives what all nodes know, and nobody else */
  constructor(config: Config, watch: ExpiryWatch, secret: () => Buffer) {
    this.#config = config
    this.#watch = watch
    this.#carrying = { mint: new Mint(secret), isProven: false }
    this.#stored = { watch, onRegenerate: config.onRegenerate }
    this.#expectsSession = config.store !== undefined || config.session === 'framework'
  }

  hostOf(caller: Caller): Host {
    const { req } = caller
    const { identify, session } = this.#config
    const own = identify?.(req)
    if (own !== undefined) return identified(own)
    if (session === 'cookie') return this.#ownCookie(caller)
    const hostSession = caller.session
    if (typeof hostSession === 'object' && hostSession !== null) {
      if (this.#usedOwnCookie && !this.#expectsSession) warnOfLateSession()
      this.#expectsSession = true
      return this.#hostSession(caller, hostSession)
    }
    return this.#expectsSession ? UNAVAILABLE : this.#ownCookie(caller, this.#noteOwnCookie)
  }

  /** What a request is to note when it comes. */
  get arrivals(): number {
    return this.#watch.over.serial
  }

  #hostSession(caller: Caller, session: object): Host {
    const { req, res, arrivedAt, koaSession } = caller
    if (koaSession === undefined && hasExpressSession(req))
      return new ExpressSessionHost(req, res, this.#stored, arrivedAt, this.#config.store)
    const carrying = this.#carrying
    const ownCookie = this.#ownCookie(caller)
    if (koaSession === undefined) return new CarriedHost(session, res, ownCookie, carrying)
    return koaSessionHost({ koaSession, session, res, context: this.#stored, arrivedAt, ownCookie, carrying })
  }

  #ownCookie(caller: Caller, onUse?: () => void): CookieHost {
    return new CookieHost(caller, this.#config.cookie, this.#carrying.mint, onUse)
  }

  readonly #noteOwnCookie = () => {
    this.#usedOwnCookie = true
  }

  /** Whether sessions are found by `req.session`, so that it has to be there before this middleware runs. */
  get followsHost(): boolean {
    return this.#config.session !== 'cookie' && this.#config.identify === undefined
  }
}

function identified(own: unknown): Host {
  if (typeof own !== 'string' || own === '') {
    neglect(own)
    throw invalid('what identify() gives', 'a string or undefined', own)
  }
  const token = tokenOfUser(own)
  return { find: () => token, prepare: () => token, keep: () => {}, persist: async () => {} }
}

const UNAVAILABLE: Host = {
  find: () => undefined,
  prepare: () => {
    throw new GradioStateError(
      'HOST_SESSION_UNAVAILABLE',
      "Expected req.session, got none on this request: its store may be away, or the session was destroyed. Try again later; { session: 'cookie' } would do without it.",
    )
  },
  keep: () => {},
  persist: async () => {},
}
