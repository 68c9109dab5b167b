import type { ServerResponse } from 'node:http'
import { newTokenFor, type OwnCookie } from './own-cookie.js'
import type { TokenSigner } from './signed-token.js'
import { type MarkedSession, type TokenStorage, tokenIn } from './token-storage.js'

/** Signed tokens, as all requests of an instance use them. */
export interface SignedTokens {
  readonly signer: TokenSigner
  /** Whether a token has ever come back in a custom session: then such sessions persist between requests. */
  isProven: boolean
}

/**
 * A `req.session` that isn't express-session's, such as that of cookie-session. It stores the token. Whether such an object persists
 * between requests is unknown until a token comes back in it. Until then the own cookie stores the token too. From then on only
 * the session does, so that destroying the framework session (a logout) ends the session here.
 */
export class CustomSession implements TokenStorage {
  readonly #session: MarkedSession
  readonly #res: ServerResponse | undefined
  readonly #cookie: OwnCookie
  readonly #signedTokens: SignedTokens

  constructor(
    session: object,
    res: ServerResponse | undefined,
    cookie: OwnCookie,
    signedTokens: SignedTokens,
  ) {
    this.#session = session
    this.#res = res
    this.#cookie = cookie
    this.#signedTokens = signedTokens
    // Only cookie-session and koa-session define it, and both persist their content.
    if ('isPopulated' in session) signedTokens.isProven = true
  }

  find(): string | undefined {
    const token = this.#signedTokens.signer.verify(tokenIn(this.#session))
    if (token !== undefined) {
      this.#signedTokens.isProven = true
      return token
    }
    return this.#signedTokens.isProven ? undefined : this.#cookie.find()
  }

  prepare(): string {
    return this.find() ?? newTokenFor(this.#res, this.#signedTokens.signer)
  }

  keep(token: string): void {
    if (tokenIn(this.#session) !== token) this.#session.gradioState = { token }
    if (!this.#signedTokens.isProven) this.#cookie.keep(token)
  }

  async persist(): Promise<void> {}
}
