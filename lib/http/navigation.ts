import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

/**
 * Whether the response to a request may be a page. Browsers send `Upgrade-Insecure-Requests` with every navigation, whatever its
 * method, over plain http too, and through service workers. Otherwise only Chromium sends it, for `<object>` and `<embed>`.
 */
export function isNavigation({ headers }: IncomingMessage): boolean {
  return (
    headers['upgrade-insecure-requests'] === '1' &&
    // Prefetched or prerendered: it may never be shown.
    headers['sec-purpose'] === undefined &&
    !EMBEDDED.has(headers['sec-fetch-dest'])
  )
}

/** Whether a page in a browser has sent the request: its scripts, or its content. `Sec-Fetch-Site` is sent to trustworthy origins only. */
export function isFromPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'] ?? 'none'
  return site !== 'none' || headers.origin !== undefined || headers.referer !== undefined
}

/** Whether the response to a navigation makes the browser load a page that can connect: HTML, or a 304 for the HTML in its cache. */
export function isPage(res: ServerResponse | undefined): boolean {
  if (!res?.writableEnded) return false
  const { statusCode } = res
  // The browser stays on the page that it shows.
  if (statusCode === 204 || statusCode === 205) return false
  // The body of a redirect isn't shown, but often is HTML.
  if (statusCode >= 300 && statusCode < 400 && sentHeader(res, 'location') !== undefined) return false
  if (/^\s*attachment\b/i.test(sentHeader(res, 'content-disposition') ?? '')) return false
  if (forbidsScripts(sentHeader(res, 'content-security-policy') ?? '')) return false
  const type = sentHeader(res, 'content-type')
  return type === undefined ? statusCode === 304 : HTML.test(type)
}

/**
 * Whether no script can run, as in the error pages of Express. The client script is in a `<script>` element
 * (https://www.w3.org/TR/CSP3/#directive-fallback-list).
 */
function forbidsScripts(policy: string): boolean {
  const sources = ['script-src-elem', 'script-src', 'default-src'].map(
    directive => new RegExp(`(?:^|;)\\s*${directive}\\s+([^;]*)`, 'i').exec(policy)?.[1],
  )
  return (
    sources
      .find(source => source !== undefined)
      ?.trim()
      .toLowerCase() === "'none'"
  )
}

const EMBEDDED: ReadonlySet<unknown> = new Set(['object', 'embed'])
const HTML = /^\s*(text\/html|application\/xhtml\+xml)\s*(;|$)/i

/** How Node.js represents the headers that were sent. */
interface SentHeaders {
  /** Over HTTP/1: the status line and the headers as text (Node.js, lib/_http_outgoing.js). */
  readonly _header?: unknown
  /** Over HTTP/2. */
  readonly stream?: { readonly sentHeaders?: OutgoingHttpHeaders }
}

/** A header that was sent. Over HTTP/1, `getHeader` doesn't return those that were only passed to `writeHead`. */
function sentHeader(res: ServerResponse & SentHeaders, name: string): string | undefined {
  const { _header: text } = res
  if (typeof text === 'string') return new RegExp(`^${name}:(.*)`, 'im').exec(text)?.[1]
  const value = res.stream?.sentHeaders?.[name] ?? res.getHeader(name)
  return value === undefined ? undefined : String(value)
}
