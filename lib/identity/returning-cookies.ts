import type { IncomingMessage } from 'node:http'
import type { LossCause, Warnings } from '../warnings.js'
import { isEncrypted, type SessionRequest } from './request-context.js'
import type { TokenCookie, TokenStorage } from './token-storage.js'

/** The cookie that the response to a page's heartbeat has set. */
interface GivenCookie {
  readonly token: string
  readonly pattern: RegExp
  readonly cause: LossCause
}

/**
 * Detects that browsers don't return the cookie of their session, so that each request begins another one. The evidence is a page whose
 * script has received the cookie with a heartbeat, and then opens its socket or sends another heartbeat without it. Clients that
 * keep no cookies, such as health checks, run no script.
 */
export class ReturningCookies {
  readonly #warnings: Pick<Warnings, 'cookieLost'>
  readonly #hasSession: (token: string) => boolean
  /** By page id, the oldest first. */
  readonly #given = new Map<string, GivenCookie>()
  /** Whether any browser has returned its cookie: then another one that doesn't may just block cookies. */
  #hasReturned = false
  #lost = 0

  constructor(warnings: Pick<Warnings, 'cookieLost'>, hasSession: (token: string) => boolean) {
    this.#warnings = warnings
    this.#hasSession = hasSession
  }

  /** A heartbeat of a page has arrived with the token of its session. */
  returned(page: string): void {
    this.#hasReturned = true
    this.#given.delete(page)
  }

  /** The response to a page's heartbeat sets the cookie of its session. */
  given(page: string, token: string, request: SessionRequest, storage: TokenStorage): void {
    const { cookie } = storage
    if (cookie === undefined || storage.isWithheld || !isOfScript(request.req)) return
    this.#check(page, request.req)
    this.#given.set(page, { token, pattern: cookie.pattern, cause: causeOf(request, cookie) })
    for (const oldest of this.#given.keys()) {
      if (this.#given.size <= CAPACITY) break
      this.#given.delete(oldest)
    }
  }

  /** A page has opened its socket with this request. */
  socketOpened(page: string, req: IncomingMessage): void {
    this.#check(page, req)
  }

  #check(page: string, { headers }: IncomingMessage): void {
    const given = this.#given.get(page)
    if (given === undefined) return
    this.#given.delete(page)
    const { token, pattern, cause } = given
    // Tabs that are opened at once get several sessions, and only the cookie of the last one stays.
    if (pattern.test(headers.cookie ?? '')) {
      this.#hasReturned = true
      return
    }
    // After a logout, the app may have removed the cookie.
    if (!this.#hasSession(token)) return
    this.#lost++
    if (cause !== undefined || (!this.#hasReturned && this.#lost >= ENOUGH)) this.#warnings.cookieLost(cause)
  }
}

/** The header that the client script of the library sends to its own origin. */
function isOfScript({ headers }: IncomingMessage): boolean {
  return headers['gradio-state'] === 'page'
}

function causeOf(request: SessionRequest, { secure }: TokenCookie): LossCause {
  const { headers } = request.req
  // Chromium sends the first of them with requests from frames of other sites.
  if (headers['sec-fetch-storage-access'] !== undefined || headers['sec-fetch-site'] === 'cross-site')
    return 'frame'
  if (secure === undefined || isEncrypted(request)) return undefined
  const isForwarded = /^https\b/i.test(String(headers['x-forwarded-proto'] ?? ''))
  if (!isForwarded) return 'http'
  return secure === 'checked' ? 'proxy' : undefined
}

const CAPACITY = 1_000
/** So many pages have to lose their cookies where no cause can be seen. */
const ENOUGH = 3
