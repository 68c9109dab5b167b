import type { OwnCookie } from './own-cookie.js'
import { wellFormedToken } from './token.js'
import { type MarkedSession, type TokenStorage, tokenIn } from './token-storage.js'

/** What the requests of an instance have shown about its custom sessions. */
export interface CustomSessions {
  /** Whether a token was ever received back in a custom session: then such sessions persist between requests. */
  isProven: boolean
}

/**
 * A `req.session` that isn't express-session's, such as that of cookie-session. It stores the token. Whether such an object persists
 * between requests is unknown until a request contains the token. Until then the library's own cookie stores the token too. From then on only
 * the session does, so that destroying the framework session (a logout) ends the session here.
 */
export class CustomSession implements TokenStorage {
  readonly #session: MarkedSession
  readonly #cookie: OwnCookie
  readonly #customSessions: CustomSessions

  constructor(session: object, cookie: OwnCookie, customSessions: CustomSessions) {
    this.#session = session
    this.#cookie = cookie
    this.#customSessions = customSessions
    // Only cookie-session and koa-session define it, and both persist their content.
    if ('isPopulated' in session) customSessions.isProven = true
  }

  find(): string | undefined {
    const token = wellFormedToken(tokenIn(this.#session))
    if (token !== undefined) {
      this.#customSessions.isProven = true
      return token
    }
    return this.#customSessions.isProven ? undefined : this.#cookie.find()
  }

  prepare(): string {
    return this.#cookie.tokenFor(this.find())
  }

  keep(token: string): void {
    if (tokenIn(this.#session) !== token) this.#session.gradioState = { token }
    if (!this.#customSessions.isProven) this.#cookie.keep(token)
  }

  async persist(): Promise<void> {}

  renewCookie(): void {
    if (!this.#customSessions.isProven) this.#cookie.renewCookie()
  }
}
