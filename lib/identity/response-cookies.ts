import type { ServerResponse } from 'node:http'
import onHeaders from 'on-headers'

/**
 * Adds a cookie to a response, when its headers are sent. Not before: the app's own `setHeader('Set-Cookie', …)` replaces cookies that
 * were set earlier. Not to a response that a shared cache may store: others would get the same cookie.
 * @param onWithheld called instead, for such a response
 */
export function addCookie(res: ServerResponse, cookie: string, onWithheld?: () => void): void {
  const earlier = added.get(res)
  if (earlier !== undefined) {
    earlier.push({ cookie, onWithheld })
    return
  }
  const cookies: AddedCookie[] = [{ cookie, onWithheld }]
  added.set(res, cookies)
  onHeaders(res, function () {
    const isWithheld = isForSharedCaches(this)
    for (const { cookie, onWithheld } of cookies) {
      if (isWithheld) onWithheld?.()
      else this.appendHeader('Set-Cookie', cookie)
    }
  })
}

interface AddedCookie {
  readonly cookie: string
  readonly onWithheld: (() => void) | undefined
}

const added = new WeakMap<ServerResponse, AddedCookie[]>()

/**
 * Whether the app lets shared caches store the response. RFC 9111 allows them to store one with `Set-Cookie`, and some CDNs do.
 * `CDN-Cache-Control` (RFC 9213) also exists with the names of CDNs before it.
 */
function isForSharedCaches(res: ServerResponse): boolean {
  const value = (name: string) => String(res.getHeader(name) ?? '')
  const cacheControl = value('cache-control')
  if (/\b(public|s-maxage)\b/i.test(cacheControl) && !NOT_SHARED.test(cacheControl)) return true
  return res
    .getHeaderNames()
    .some(name => name.endsWith('cdn-cache-control') && !NOT_SHARED.test(value(name)))
}

const NOT_SHARED = /\b(private|no-store)\b/i
