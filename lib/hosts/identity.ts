import { createHash } from 'node:crypto'
import { GradioStateError, invalid } from '../errors.js'
import type { Config } from '../options.js'
import { CarriedHost, type Carrying } from './carried.js'
import { CookieHost } from './cookie.js'
import type { ExpiryWatch } from './expiry-watch.js'
import { ExpressSessionHost, hasExpressSession } from './express-session.js'
import type { Caller, Host } from './host.js'
import { koaSessionHost } from './koa-session.js'
import { Mint } from './minted.js'
import { mountsExpressSession } from './mounted-session.js'

/** Tells which host a request's session is found by. */
export class Identity {
  readonly #config: Config
  readonly #watch: ExpiryWatch
  readonly #carrying: Carrying
  /** Whether a host session was ever seen, or the middleware that makes them. From then on its absence is a fault, not another identity. */
  #sawHostSession: boolean

  /** @param secret gives what all nodes know, and nobody else */
  constructor(config: Config, watch: ExpiryWatch, secret: () => Buffer) {
    this.#config = config
    this.#watch = watch
    this.#carrying = { mint: new Mint(secret), isProven: false }
    this.#sawHostSession = config.store !== undefined
  }

  hostOf(caller: Caller): Host {
    const { req, res, context, arrivedAt } = caller
    const { identify, session, cookie, onRegenerate, store } = this.#config
    const own = identify?.(req)
    if (own !== undefined) return identified(own)
    const ownCookie = new CookieHost(caller, cookie, this.#carrying.mint)
    if (session === 'cookie') return ownCookie
    const hostSession = context.session
    if (typeof hostSession === 'object' && hostSession !== null) {
      this.#sawHostSession = true
      const stored = { watch: this.#watch, onRegenerate, arrivedAt }
      const { koaSession } = context
      if (koaSession !== undefined) {
        return koaSessionHost({ koaSession, res, context: stored, ownCookie, carrying: this.#carrying })
      }
      if (hasExpressSession(req)) return new ExpressSessionHost(req, res, stored, store)
      return new CarriedHost(hostSession, res, ownCookie, this.#carrying)
    }
    this.#sawHostSession ||= mountsExpressSession(req)
    return session === 'host' || this.#sawHostSession ? UNAVAILABLE : ownCookie
  }

  /** What a request is to note when it comes. */
  get arrivals(): number {
    return this.#watch.over.serial
  }

  /** Whether sessions are found by `req.session`, so that it has to be there before this middleware runs. */
  get followsHost(): boolean {
    return this.#config.session !== 'cookie' && this.#config.identify === undefined
  }
}

function identified(own: unknown): Host {
  if (typeof own !== 'string' || own === '')
    throw invalid('what identify() gives', 'a string or undefined', own)
  const token = `i.${createHash('sha256').update(own).digest('hex')}`
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
