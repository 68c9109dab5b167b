import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Whether a browser asks for a document. Browsers say so in `Sec-Fetch-Dest` (Fetch Metadata), but on trustworthy
 * origins only: on others, such as a plain http name in a LAN, the wish for HTML tells.
 */
export function isNavigation(req: IncomingMessage): boolean {
  const { method, headers } = req
  if (method !== 'GET') return false
  const destination = headers['sec-fetch-dest']
  if (destination !== undefined) return DOCUMENTS.has(destination)
  return headers.accept?.includes('text/html') ?? false
}

/** Whether the answer has brought the browser a page that will now load: HTML, or the word that its copy is current. */
export function isPage(res: ServerResponse | undefined): boolean {
  if (!res?.writableEnded) return false
  return res.statusCode === 304 || String(res.getHeader('content-type')).startsWith('text/html')
}

/** An app may stand in a frame of another page, as on Hugging Face Spaces. */
const DOCUMENTS: ReadonlySet<unknown> = new Set(['document', 'iframe', 'frame'])
