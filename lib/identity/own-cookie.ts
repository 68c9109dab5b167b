import type { ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { parse, serialize } from 'cookie'
import onHeaders from 'on-headers'
import type { CookieConfig } from '../options.js'
import type { SessionRequest } from './request-context.js'
import { randomToken, wellFormedToken } from './token.js'
import { canSetCookie, headersSent, type TokenStorage } from './token-storage.js'

/** The library's own cookie, used where there is no framework session. */
export class OwnCookie implements TokenStorage {
  readonly #request: SessionRequest
  readonly #config: CookieConfig
  readonly #onUse: (() => void) | undefined

  /** @param onUse called when this cookie begins or enters a session */
  constructor(request: SessionRequest, config: CookieConfig, onUse?: () => void) {
    this.#request = request
    this.#config = config
    this.#onUse = onUse
  }

  find(): string | undefined {
    const header = this.#request.req.headers.cookie
    return header === undefined ? undefined : wellFormedToken(parse(header)[this.#config.name])
  }

  prepare(): string {
    return this.find() ?? newTokenFor(this.#request.res)
  }

  keep(token: string): void {
    this.#onUse?.()
    const { res } = this.#request
    if (res === undefined || token === this.find() || token === kept.get(res)) return
    kept.set(res, token)
    const cookie = this.#serialize(token)
    // As late as possible: the app's own `setHeader('Set-Cookie', …)` replaces cookies that were set before.
    onHeaders(res, function () {
      this.appendHeader('Set-Cookie', cookie)
    })
  }

  async persist(): Promise<void> {}

  #serialize(token: string): string {
    const { name, path, publicPath, domain, sameSite, secure, maxAge } = this.#config
    return serialize(name, token, {
      httpOnly: true,
      sameSite,
      path: path ?? (publicPath + this.#request.base || '/'),
      secure: secure === 'auto' ? this.#isSecure() : secure,
      ...(domain !== undefined && { domain }),
      ...(maxAge !== undefined && { maxAge }),
    })
  }

  /** Frameworks take the `X-Forwarded-Proto` of a trusted proxy into account. */
  #isSecure(): boolean {
    const { context, req } = this.#request
    return context.secure ?? (req.socket as TLSSocket).encrypted === true
  }
}

/** The tokens that responses send in the own cookie. */
const kept = new WeakMap<ServerResponse, string>()

/** A new token for a response that can still send it to the browser. The same response gets the same token. */
export function newTokenFor(res: ServerResponse | undefined): string {
  const known = res && kept.get(res)
  if (known !== undefined) return known
  if (!canSetCookie(res)) throw headersSent()
  return randomToken()
}
