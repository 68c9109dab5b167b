import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { parse, serialize } from 'cookie'
import onHeaders from 'on-headers'
import type { CookieConfig } from '../options.js'
import { canSetCookie, type Host, headersSent, type RequestContext } from './host.js'
import { mint, minted } from './minted.js'

/** The library's own cookie, where there is no session of the host. */
export class CookieHost implements Host {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #context: RequestContext
  readonly #base: string
  readonly #config: CookieConfig

  /** @param base the path that the middleware is mounted on: at the first use, `context.baseUrl` is some router's */
  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    context: RequestContext,
    base: string,
    config: CookieConfig,
  ) {
    this.#req = req
    this.#context = context
    this.#res = res
    this.#base = base
    this.#config = config
  }

  find(): string | undefined {
    const header = this.#req.headers.cookie
    return header === undefined ? undefined : minted(parse(header)[this.#config.name])
  }

  prepare(): string {
    return this.find() ?? mintFor(this.#res)
  }

  keep(token: string): void {
    if (token === this.find()) return
    const cookie = this.#serialize(token)
    // As late as can be: an app's own `setHeader('Set-Cookie', …)` replaces what was set before it.
    onHeaders(this.#res, function () {
      this.appendHeader('Set-Cookie', cookie)
    })
  }

  async persist(): Promise<void> {}

  #serialize(token: string): string {
    const { name, path, domain, sameSite, secure, maxAge } = this.#config
    return serialize(name, token, {
      httpOnly: true,
      sameSite,
      path: path ?? (this.#base || '/'),
      secure: secure === 'auto' ? this.#isSecure() : secure,
      ...(domain !== undefined && { domain }),
      ...(maxAge !== undefined && { maxAge }),
    })
  }

  /** Frameworks know what a trusted proxy said. */
  #isSecure(): boolean {
    return this.#context.secure ?? (this.#req.socket as TLSSocket).encrypted === true
  }
}

/** A new token for an answer that can still bring it to the browser. */
export function mintFor(res: ServerResponse): string {
  if (!canSetCookie(res)) throw headersSent()
  return mint()
}
