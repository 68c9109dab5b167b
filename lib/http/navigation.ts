import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Whether a browser requests a document. Browsers send `Sec-Fetch-Dest` (Fetch Metadata) only to trustworthy origins. For others,
 * such as a host name in a LAN without https, `Accept` decides.
 */
export function isNavigation(req: IncomingMessage): boolean {
  const { method, headers } = req
  if (method !== 'GET') return false
  const destination = headers['sec-fetch-dest']
  if (destination !== undefined) return DOCUMENTS.has(destination)
  return headers.accept?.includes('text/html') ?? false
}

/** Whether the response makes the browser load a page: HTML, or a 304 for the HTML in its cache. */
export function isPage(res: ServerResponse | undefined): boolean {
  if (!res?.writableEnded) return false
  return res.statusCode === 304 || String(res.getHeader('content-type')).startsWith('text/html')
}

/** An app may be embedded in a frame of another page, as on Hugging Face Spaces. */
const DOCUMENTS: ReadonlySet<unknown> = new Set(['document', 'iframe', 'frame'])
