/** The origin of a URL, which may be relative. A `<base>` may lead to another origin. */
export function originOf(url: string | URL): string {
  return new URL(url, document.baseURI).origin
}

/** Whether a URL has the page's own origin. */
export function isOwnOrigin(url: string | URL): boolean {
  return originOf(url) === origin
}

/**
 * The headers that prove to the server that a page of its own origin sent a request. Pages of another origin need a preflight to send
 * them, so they aren't sent to other origins (`lib/pages/origin.ts`).
 */
export function proofOfOrigin(url: string | URL): Record<string, string> {
  return isOwnOrigin(url) ? { 'gradio-state': 'page' } : {}
}
