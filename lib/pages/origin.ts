import type { IncomingMessage, ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'

/**
 * Refuses requests of pages of other origins, to which the browser adds the session cookie.
 * @param trustsProxy whether the framework trusts the headers of the proxy that sent the request
 * @throws GradioStateError `CROSS_SITE`
 */
export function refuseCrossSite(
  req: IncomingMessage,
  origins: ReadonlySet<string>,
  trustsProxy: boolean,
): void {
  const { origin } = req.headers
  if (isListed(origin, origins) || isSameOrigin(req, trustsProxy)) return
  throw new GradioStateError(
    'CROSS_SITE',
    `Expected a request from a page of this origin, got one from ${origin ?? 'another site'}. List it in the option origins if its pages may use the library's routes.`,
  )
}

/**
 * Whether a page of the request's own origin sent it, or no browser at all. The decision uses the first of these that the request has:
 *
 * 1. `Sec-Fetch-Site`, which browsers set themselves, on trustworthy origins only: https and localhost.
 * 2. The header of the client. Pages of another origin need a preflight to send it, which only listed origins pass.
 * 3. `Origin`, compared with the host. Browsers send it with every POST.
 */
export function isSameOrigin({ headers }: IncomingMessage, trustsProxy: boolean): boolean {
  const { origin } = headers
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  if (headers[CLIENT_HEADER] !== undefined || origin === undefined) return true
  const { host, ':authority': authority, 'x-forwarded-host': forwarded } = headers
  // Each proxy may have added the host of the request that it received.
  const byProxies = trustsProxy ? String(forwarded ?? '').split(',') : []
  return [host, authority, ...byProxies].some(host => hasHost(origin, String(host ?? '')))
}

/** Lets pages of the listed origins read the response. @returns whether the request comes from one of them */
export function allowOrigin(
  req: IncomingMessage,
  res: ServerResponse,
  origins: ReadonlySet<string>,
): boolean {
  const { origin } = req.headers
  if (origins.size > 0) res.appendHeader('Vary', 'Origin')
  if (!isListed(origin, origins)) return false
  res.setHeader('Access-Control-Allow-Origin', origin)
  res.setHeader('Access-Control-Allow-Credentials', 'true')
  return true
}

function isListed(origin: string | undefined, origins: ReadonlySet<string>): origin is string {
  return origin !== undefined && origins.has(origin)
}

/** Whether an origin has that host. Proxies may have removed the port, so a host without one matches the origins of every port. */
function hasHost(origin: string, host: string): boolean {
  const [, ofOrigin = ''] = /^https?:\/\/(.*)$/i.exec(origin) ?? []
  const [page, server] = [parseHost(ofOrigin), parseHost(host.trim())]
  if (page === undefined || server === undefined) return false
  return page.name === server.name && (server.port === '' || server.port === page.port)
}

/** A host in the normal form of URLs: lower case, IPv6 addresses shortened, no default port. */
function parseHost(host: string): { name: string; port: string } | undefined {
  const url = `http://${host}`
  if (/[\s/\\?#@]/.test(host) || !URL.canParse(url)) return undefined
  const { hostname, port } = new URL(url)
  // The URL drops port 80. Behind a proxy, the port of a request doesn't show whether the browser used http or https.
  return { name: hostname, port: port === '443' ? '' : port }
}

/** The header that the client sends to its own origin (`lib/client/own-origin.ts`). */
const CLIENT_HEADER = 'gradio-state'
