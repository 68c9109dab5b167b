import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { GradioStateError, invalid } from '../errors.js'
import type { Config } from '../options.js'
import { CarriedHost, type Carrying } from './carried.js'
import { CookieHost } from './cookie.js'
import type { ExpiryWatch } from './expiry-watch.js'
import { ExpressSessionHost, hasExpressSession } from './express-session.js'
import type { Host, HostRequest } from './host.js'

/** Tells which host a request's session is found by. */
export class Identity {
  readonly #config: Config
  readonly #watch: ExpiryWatch
  readonly #carrying: Carrying = { isProven: false }
  /** Whether a host session was ever seen. From then on its absence is a fault, not another identity. */
  #sawHostSession: boolean

  constructor(config: Config, watch: ExpiryWatch) {
    this.#config = config
    this.#watch = watch
    this.#sawHostSession = config.store !== undefined
  }

  /**
   * @param base the path that the middleware is mounted on
   * @param arrivedAt what the watch had counted when the request came
   */
  hostOf(req: HostRequest, res: ServerResponse, base: string, arrivedAt: number): Host {
    const { identify, session, cookie, onRegenerate, store } = this.#config
    const own = identify?.(req)
    if (own !== undefined) return identified(own)
    const ownCookie = new CookieHost(req, res, base, cookie)
    if (session === 'cookie') return ownCookie
    if (typeof req.session === 'object' && req.session !== null) {
      this.#sawHostSession = true
      if (hasExpressSession(req)) {
        return new ExpressSessionHost(req, res, { watch: this.#watch, onRegenerate, store, arrivedAt })
      }
      return new CarriedHost(req.session, res, ownCookie, this.#carrying)
    }
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
