import { keepConnected } from './page-connection.js'
import type { Page } from './types.js'

export type { Page, PageChange, PageEvent, PageListener } from './types.js'
export type { UploadError, UploadOptions, UploadProgress } from './upload.js'

/**
 * Connects this page to the server, so that the server knows that it is open, and says goodbye when the page is closed.
 *
 * Resolves as soon as the session's cookie is set. Before that, each parallel request would start its own session. Retries until it
 * succeeds. A second call with the same base returns the same promise. Import it from `gradio-state/client`.
 *
 * @param base - The URL of the library's routes, relative to the document. Default: `/gradio_api`.
 * @returns A promise that rejects only if there is no document, or if `base` isn't an http(s) URL.
 */
export function connect(base: string | URL = '/gradio_api'): Promise<Page> {
  try {
    if (typeof document === 'undefined') {
      throw new Error(
        'connect() needs a browser: expected a document, received none. Call it only in a page.',
      )
    }
    const { protocol, origin, pathname, href } = new URL(base, location.href)
    if (!protocol.startsWith('http')) throw new TypeError(`Expected an http(s) base, received ${href}`)

    // A document may load this module twice, from its own bundle and from the server. Both share one page.
    const key = Symbol.for('gradio-state')
    const scope = globalThis as { [key]?: Record<string, Promise<Page>> }
    const pages = scope[key] || {}
    scope[key] = pages
    const root = origin + pathname.replace(/\/+$/, '')
    const page = pages[root] || new Promise(resolve => keepConnected(root, resolve))
    pages[root] = page
    return page
  } catch (error) {
    return Promise.reject(error)
  }
}
