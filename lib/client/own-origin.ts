/** Whether a URL of the server has the page's own origin. */
export function isOwnOrigin(url: string | URL): boolean {
  return new URL(url, location.href).origin === origin
}

/**
 * The headers that prove to the server that a page of its own origin sent a request. Pages of another origin need a preflight to send
 * them, so they aren't sent to other origins (`lib/pages/origin.ts`).
 */
export function proofOfOrigin(url: string | URL): [name: string, value: string][] {
  return isOwnOrigin(url) ? [['gradio-state', 'page']] : []
}
