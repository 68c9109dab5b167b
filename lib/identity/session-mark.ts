import { createHash } from 'node:crypto'
import type { CookieConfig } from '../cookie-options.js'
import { serializeCookie } from './own-cookie.js'
import type { SessionRequest } from './request-context.js'
import { addCookie } from './response-cookies.js'

/**
 * The cookie that lets an open page detect that its browser has a different session, after a login or when cookies were cleared.
 * Scripts can read it. It contains a digest of the token, which gives access to no session. The server never reads it.
 */
export class SessionMark {
  /** Whether any page uses it. */
  isUsed = false
  readonly #config: CookieConfig

  /** @param config the configuration of the library's own cookie, whose scope this cookie shares */
  constructor(config: CookieConfig) {
    this.#config = { ...config, name: `${config.name}_page` }
  }

  /** The cookie of a page in the session with this token, as in `document.cookie`. */
  of(token: string): string {
    return `${this.#config.name}=${digest(token)}`
  }

  /** Sets the cookie with the response that gives the browser a session. */
  set(token: string, request: SessionRequest): void {
    const { res } = request
    if (!this.isUsed || res === undefined || res.headersSent) return
    addCookie(res, serializeCookie(this.#config, digest(token), request, {}))
  }
}

function digest(token: string): string {
  return createHash('sha256').update(`page of ${token}`).digest().toString('base64url', 0, 16)
}
