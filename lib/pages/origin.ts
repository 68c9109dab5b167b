import type { IncomingMessage, ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'

/**
 * Refuses a request that a page of another site has caused, to which the browser adds our cookie. Browsers name the origin of a
 * request in `Sec-Fetch-Site` on trustworthy origins (Fetch Metadata), elsewhere only in `Origin`.
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

/** Whether the origin has the host of the request. True without `Origin`: no browser sent it, or it is a GET of the same origin. */
export function isSameHost(req: IncomingMessage, origin: string | undefined): boolean {
  if (origin === undefined) return true
  const { host } = URL.canParse(origin) ? new URL(origin) : { host: undefined }
  // A proxy may have replaced Host. Pages of other sites can't set X-Forwarded-Host without a preflight.
  return host !== undefined && (host === req.headers.host || host === req.headers['x-forwarded-host'])
}

/** Lets pages of the listed origins read the response. @returns whether the request comes from one of them */
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
