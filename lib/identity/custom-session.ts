import type { ServerResponse } from 'node:http'
import { type Host, type Marker, markedToken } from './host.js'
import { type CookieHost, mintFor } from './own-cookie.js'
import type { Mint } from './signed-token.js'

/** What the hosts of an instance that carry tokens have in common. */
export interface Carrying {
  readonly mint: Mint
  /** Whether `req.session` objects of an unknown make are kept between requests, as far as was seen. */
  isProven: boolean
}

/**
 * A `req.session` of another make than express-session, such as cookie-session: the token is put into it. Nothing
 * tells whether such an object is kept between requests until a token comes back in one. Until then the own cookie
 * carries the token too; from then on only the session does, so that its end (a logout) is the end here.
 */
export class CarriedHost implements Host {
  readonly #session: Marker
  readonly #res: ServerResponse | undefined
  readonly #cookie: CookieHost
  readonly #carrying: Carrying

  constructor(session: object, res: ServerResponse | undefined, cookie: CookieHost, carrying: Carrying) {
    this.#session = session
    this.#res = res
    this.#cookie = cookie
    this.#carrying = carrying
    // cookie-session and koa-session have it, and keep what is put into them.
    if ('isPopulated' in session) carrying.isProven = true
  }

  find(): string | undefined {
    const token = this.#carrying.mint.minted(markedToken(this.#session))
    if (token !== undefined) {
      this.#carrying.isProven = true
      return token
    }
    return this.#carrying.isProven ? undefined : this.#cookie.find()
  }

  prepare(): string {
    return this.find() ?? mintFor(this.#res, this.#carrying.mint)
  }

  keep(token: string): void {
    if (markedToken(this.#session) !== token) this.#session.gradioState = { token }
    if (!this.#carrying.isProven) this.#cookie.keep(token)
  }

  async persist(): Promise<void> {}
}
