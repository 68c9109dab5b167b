import type { IncomingMessage, ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'

/**
 * Refuses a request that a page of another site had the browser send: the browser sends the cookie along. Browsers say
 * where a request comes from by `Sec-Fetch-Site` on trustworthy origins (Fetch Metadata), elsewhere only by `Origin`.
 */
export function refuseCrossSite(req: IncomingMessage, origins: ReadonlySet<string>): void {
  const { origin } = req.headers
  if (origin !== undefined && origins.has(origin)) return
  const site = req.headers['sec-fetch-site']
  const allowed = site === undefined ? isSameHost(req, origin) : site === 'same-origin' || site === 'none'
  if (allowed) return
  throw new GradioStateError(
    'CROSS_SITE',
    `Expected a request from a page of this origin, got one from ${origin ?? 'another site'}. List it in the option origins if its pages may use the library's routes.`,
  )
}

/** Without `Origin` it is no request of a browser that could be abused, or a GET of the same origin. */
export function isSameHost(req: IncomingMessage, origin: string | undefined): boolean {
  if (origin === undefined) return true
  const { host } = URL.canParse(origin) ? new URL(origin) : { host: undefined }
  // A proxy may have put its own name into Host; no page of another site can set the other header without a preflight.
  return host !== undefined && (host === req.headers.host || host === req.headers['x-forwarded-host'])
}

/** Lets pages of the listed origins read the answer. */
export function allowOrigin(
  req: IncomingMessage,
  res: ServerResponse,
  origins: ReadonlySet<string>,
): boolean {
  const { origin } = req.headers
  if (origins.size > 0) res.appendHeader('Vary', 'Origin')
  if (origin === undefined || !origins.has(origin)) return false
  res.setHeader('Access-Control-Allow-Origin', origin)
  res.setHeader('Access-Control-Allow-Credentials', 'true')
  return true
}
