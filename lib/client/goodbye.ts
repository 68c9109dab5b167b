/** The goodbye of a page. */
export interface Goodbye {
  url: string
  /** What the goodbye says about the next document: `within` if it has the same origin, otherwise empty. */
  hint: string
}

/**
 * Says goodbye to the server when the browser leaves the document, and then calls `afterGoodbye`.
 * @param goodbye What to send. It has to be complete before the browser leaves.
 */
export function listenForGoodbye(goodbye: Goodbye, afterGoodbye: () => void): void {
  // Chromium emits it before `pagehide`, but not when the tab is closed. Without `activation`, the browser goes to another origin.
  addEventListener('pageswap', event => {
    if (!(event as Event & { activation?: unknown }).activation) return
    goodbye.hint = 'within'
    goodbye.url += '&within'
  })
  addEventListener('pagehide', () => {
    // This comes first, with a URL built earlier: Firefox lost up to 65% of the beacons if any function of the page was called before. Some
    // privacy settings remove `sendBeacon`.
    navigator.sendBeacon?.(goodbye.url)
    afterGoodbye()
  })
}
