import type { IncomingMessage, ServerResponse } from 'node:http'
import { parse, serialize } from 'cookie'
import type { CookieConfig } from '../cookie-options.js'
import type { Warnings } from '../warnings.js'
import { isEncrypted, type SessionRequest } from './request-context.js'
import { addCookie } from './response-cookies.js'
import { randomToken, wellFormedToken } from './token.js'
import { canSetCookie, headersSent, patternOf, type TokenCookie, type TokenStorage } from './token-storage.js'
import type { WorkerTags } from './worker-tags.js'

/** Shared by all own cookies of an instance. */
export interface OwnCookieContext {
  readonly config: CookieConfig
  readonly warnings: Warnings
  /** Without a cluster that shares sessions, in a worker of `node:cluster`. */
  readonly workerTags: WorkerTags | undefined
}

/** The library's own cookie, used where there is no framework session. */
export class OwnCookie implements TokenStorage {
  readonly #request: SessionRequest
  readonly #context: OwnCookieContext
  readonly #onUse: (() => void) | undefined

  /** @param onUse called when a request starts or enters a session with this cookie */
  constructor(request: SessionRequest, context: OwnCookieContext, onUse?: () => void) {
    this.#request = request
    this.#context = context
    this.#onUse = onUse
  }

  get isWithheld(): boolean {
    const { res } = this.#request
    return res !== undefined && withheld.has(res)
  }

  get cookie(): TokenCookie {
    const { name, secure } = this.#context.config
    return { pattern: patternOf(name), secure: secure === true ? 'unchecked' : undefined }
  }

  find(): string | undefined {
    const { cookie: header } = this.#request.req.headers
    if (header === undefined) return undefined
    const { config, warnings } = this.#context
    if (hasSeveral(header, config.name)) warnings.severalCookies(config.name)
    // Of several cookies with that name, it returns the first.
    return wellFormedToken(parse(header)[config.name])
  }

  prepare(): string {
    return this.tokenFor(this.find())
  }

  /** @param sent the token that the request has sent @returns that one, or else a new one */
  tokenFor(sent: string | undefined): string {
    const { req, res } = this.#request
    const { workerTags } = this.#context
    if (sent === undefined) return newTokenFor(res, workerTags?.tagFor(req))
    workerTags?.check(sent, req)
    return sent
  }

  keep(token: string): void {
    this.#onUse?.()
    if (token !== this.find()) this.#send(token)
  }

  async persist(): Promise<void> {}

  renewCookie(): void {
    const token = this.find()
    if (token !== undefined) this.#send(token)
  }

  #send(token: string): void {
    const { req, res } = this.#request
    if (res === undefined || token === kept.get(res)) return
    kept.set(res, token)
    const { config, warnings } = this.#context
    if (this.find() === undefined && mayBeWithheld(req, config)) {
      withheld.add(res)
      warnings.crossSiteRequest(req)
      return
    }
    addCookie(
      res,
      serializeCookie(config, token, this.#request, { httpOnly: true, maxAge: config.maxAge }),
      () => {
        withheld.add(res)
        warnings.sharedCache(req)
      },
    )
  }
}

/** Serializes a cookie with the scope of the library's own cookie: its path, domain and so on. */
export function serializeCookie(
  { name, path, publicPath, domain, sameSite, secure, partitioned }: CookieConfig,
  value: string,
  request: SessionRequest,
  attributes: { httpOnly?: boolean; maxAge?: number },
): string {
  const isSecure = secure === 'auto' ? isEncrypted(request) : secure
  return serialize(name, value, {
    ...attributes,
    sameSite,
    path: path ?? (publicPath + request.base || '/'),
    secure: isSecure,
    partitioned: partitioned && isSecure,
    ...(domain !== undefined && { domain }),
  })
}

function hasSeveral(header: string, name: string): boolean {
  const isOwn = (pair: string) => pair.trimStart().startsWith(`${name}=`)
  // The cheap test first: nearly all requests have one.
  return (
    header.indexOf(`${name}=`) !== header.lastIndexOf(`${name}=`) &&
    header.split(';').filter(isOwn).length > 1
  )
}

/**
 * Whether the browser may have a cookie that it hasn't sent because of its `SameSite` attribute: a new one would replace it. Browsers
 * reveal the site of the page that has sent a request only to trustworthy origins (https, localhost).
 */
function mayBeWithheld({ method, headers }: IncomingMessage, { sameSite }: CookieConfig): boolean {
  if (headers['sec-fetch-site'] !== 'cross-site' || sameSite === 'none') return false
  const isTopLevel = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
  const isSafe = method === 'GET' || method === 'HEAD'
  return sameSite === 'strict' || !isTopLevel || !isSafe
}

/** The tokens that responses send in the library's own cookie. */
const kept = new WeakMap<ServerResponse, string>()
/** The responses that should have sent the library's own cookie and don't. */
const withheld = new WeakSet<ServerResponse>()

/** A new token for a response that can still send it to the browser. The same response gets the same token. */
function newTokenFor(res: ServerResponse | undefined, tag = ''): string {
  const known = res && kept.get(res)
  if (known !== undefined) return known
  if (!canSetCookie(res)) throw headersSent()
  return randomToken() + tag
}
