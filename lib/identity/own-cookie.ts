import type { ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { parse, serialize } from 'cookie'
import onHeaders from 'on-headers'
import type { CookieConfig } from '../options.js'
import { type Caller, canSetCookie, type Host, headersSent } from './host.js'
import type { Mint } from './signed-token.js'

/** The library's own cookie, where there is no session of the host. */
export class CookieHost implements Host {
  readonly #caller: Caller
  readonly #config: CookieConfig
  readonly #mint: Mint
  readonly #onUse: (() => void) | undefined

  /** @param onUse called when a session is begun or entered by this cookie */
  constructor(caller: Caller, config: CookieConfig, mint: Mint, onUse?: () => void) {
    this.#caller = caller
    this.#config = config
    this.#mint = mint
    this.#onUse = onUse
  }

  find(): string | undefined {
    const header = this.#caller.req.headers.cookie
    return header === undefined ? undefined : this.#mint.minted(parse(header)[this.#config.name])
  }

  prepare(): string {
    return this.find() ?? mintFor(this.#caller.res, this.#mint)
  }

  keep(token: string): void {
    this.#onUse?.()
    const { res } = this.#caller
    if (res === undefined || token === this.find() || token === kept.get(res)) return
    kept.set(res, token)
    const cookie = this.#serialize(token)
    // As late as can be: an app's own `setHeader('Set-Cookie', …)` replaces what was set before it.
    onHeaders(res, function () {
      this.appendHeader('Set-Cookie', cookie)
    })
  }

  async persist(): Promise<void> {}

  #serialize(token: string): string {
    const { name, path, domain, sameSite, secure, maxAge } = this.#config
    return serialize(name, token, {
      httpOnly: true,
      sameSite,
      path: path ?? (this.#caller.base || '/'),
      secure: secure === 'auto' ? this.#isSecure() : secure,
      ...(domain !== undefined && { domain }),
      ...(maxAge !== undefined && { maxAge }),
    })
  }

  /** Frameworks know what a trusted proxy said. */
  #isSecure(): boolean {
    const { context, req } = this.#caller
    return context.secure ?? (req.socket as TLSSocket).encrypted === true
  }
}

/** What answers bring the browser in the own cookie. */
const kept = new WeakMap<ServerResponse, string>()

/** A new token for an answer that can still bring it to the browser; the same for the same answer. */
export function mintFor(res: ServerResponse | undefined, mint: Mint): string {
  const known = res && kept.get(res)
  if (known !== undefined) return known
  if (!canSetCookie(res)) throw headersSent()
  return mint.mint()
}
