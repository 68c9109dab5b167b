import { isOwnOrigin, originOf } from './own-origin.js'

/** In milliseconds. */
const connectTimeout = 10_000

/** The part of a page that a request uses. */
interface Sender extends EventTarget {
  readonly connected: boolean
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Sends a request. If it goes to the server of `page`, it has the page's headers, and is sent when the page is connected.
 * @param waits Whether to wait for the page to connect. A page that is being left won't connect.
 */
export async function sendRequest(
  page: Sender,
  server: string,
  waits: boolean,
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  // Reads the body now, since the app may change it later.
  const request = new Request(input, init)
  if (originOf(request.url) !== originOf(server)) return fetch(request)
  for (const [name, value] of Object.entries(page.headers)) request.headers.set(name, value)
  if (waits && !page.connected) await connection(page, request.signal)
  const credentials = isOwnOrigin(server) ? undefined : (init.credentials ?? 'include')
  return fetch(request, credentials && { credentials })
}

/** Resolves when `page` is connected, when it has taken too long, or when `signal` aborts. */
function connection(page: Sender, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => resolve()
    setTimeout(done, connectTimeout)
    signal.addEventListener('abort', done)
    page.addEventListener('connected', done, { once: true })
    if (signal.aborted) done()
  })
}
