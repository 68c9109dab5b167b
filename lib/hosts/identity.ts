import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GradioStateError, invalid } from '../errors.js'
import type { Config } from '../options.js'
import { CarriedHost, type Carrying } from './carried.js'
import { CookieHost } from './cookie.js'
import type { ExpiryWatch } from './expiry-watch.js'
import { ExpressSessionHost, hasExpressSession } from './express-session.js'
import type { Host, RequestContext } from './host.js'
import { koaSessionHost } from './koa-session.js'
import { mountsExpressSession } from './mounted-session.js'

/** A request, with all that its host can be told by. */
export interface Caller {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly context: RequestContext
  /** The path that the middleware is mounted on. */
  readonly base: string
  /** What the expiry watch had counted when the request came. */
  readonly arrivedAt: number
}

/** Tells which host a request's session is found by. */
export class Identity {
  readonly #config: Config
  readonly #watch: ExpiryWatch
  readonly #carrying: Carrying = { isProven: false }
  /** Whether a host session was ever seen, or the middleware that makes them. From then on its absence is a fault, not another identity. */
  #sawHostSession: boolean

  constructor(config: Config, watch: ExpiryWatch) {
    this.#config = config
    this.#watch = watch
    this.#sawHostSession = config.store !== undefined
  }

  hostOf({ req, res, context, base, arrivedAt }: Caller): Host {
    const { identify, session, cookie, onRegenerate, store } = this.#config
    const own = identify?.(req)
    if (own !== undefined) return identified(own)
    const ownCookie = new CookieHost(req, res, context, base, cookie)
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
