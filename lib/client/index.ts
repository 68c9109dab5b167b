import { proofOfOrigin } from './own-origin.js'
import { send, type UploadOptions } from './upload.js'

export type { UploadError, UploadOptions, UploadProgress } from './upload.js'

/** What {@link Page} tells of a change. */
export interface PageChange {
  /**
   * Why the server no longer counts the page: what it said itself (such as `expired` or `destroyed`, when the session
   * has ended), or `pagehide`. Absent when it said nothing: the network is away, or the server is.
   */
  reason?: string
}

/**
 * This document, as the server knows it. Listen for `connected` and `disconnected` to hear of every change of
 * {@link Page.connected}; a short interruption that the server doesn't notice is none.
 */
export interface Page extends EventTarget {
  /** New with each load of the document. It stays over lost connections and over a return by the back button. */
  readonly id: string
  /** Whether the server counts this page as open: it has a socket, or its last heartbeat was answered. */
  readonly connected: boolean

  /**
   * Sends files to the server, as soon as the page is connected.
   *
   * @returns A promise of the answer: its JSON, or its text. It rejects with an {@link UploadError} when the server
   * refuses the files or can't be reached, and with the reason of `signal`, an `AbortError` as a rule, when that aborts.
   */
  upload(files: Iterable<File | Blob> | File | Blob, options?: UploadOptions): Promise<unknown>

  addEventListener(type: PageEvent, listener: PageListener, options?: boolean | AddEventListenerOptions): void
  addEventListener(...args: Parameters<EventTarget['addEventListener']>): void
  removeEventListener(type: PageEvent, listener: PageListener, options?: boolean | EventListenerOptions): void
  removeEventListener(...args: Parameters<EventTarget['removeEventListener']>): void
}

type PageEvent = 'connected' | 'disconnected'
type PageListener = (event: CustomEvent<PageChange>) => void

/**
 * Tells the server that this page is open, for as long as it is, and says goodbye when it goes.
 *
 * Resolves as soon as the session's cookie is set: requests that leave in parallel before it would each make a session
 * of their own. Until then it keeps trying. Called again with the same base, it gives the same promise.
 *
 * @param base - Where the library's routes are, against the document's address. Default: `/gradio_api`.
 * @returns A promise that rejects only where there is no document, or for a base that is no http(s) address.
 */
export function connect(base: string | URL = '/gradio_api'): Promise<Page> {
  try {
    if (typeof document === 'undefined') {
      throw new Error(
        'connect() needs a browser: expected a document, received none. Call it in the page only.',
      )
    }
    const { protocol, origin, pathname, href } = new URL(base, location.href)
    if (!protocol.startsWith('http')) throw new TypeError(`Expected an http(s) base, received ${href}`)

    // A page may load this module twice, from its own bundle and from the server. It is still one page.
    const key = Symbol.for('gradio-state')
    const scope = globalThis as { [key]?: Record<string, Promise<Page>> }
    const pages = scope[key] || {}
    scope[key] = pages
    const root = origin + pathname.replace(/\/+$/, '')
    const page = pages[root] || new Promise(resolve => keep(root, resolve))
    pages[root] = page
    return page
  } catch (error) {
    return Promise.reject(error)
  }
}

const second = 1000
const postLimit = 10 * second
const beatEvery = 20 * second
const openLimit = 10 * second
/** The server sends a frame every 30 s at the latest. Its protocol pings can't be seen from here. */
const frameEvery = 30 * second
const silenceLimit = 70 * second
const lasting = 20 * second
const longestRetry = 60
const longestRedial = 300

/** Between half of 2^`tries` s and the whole, so that the pages of a server that fell don't all return at once. */
const backoff = (tries: number, longest: number): number =>
  Math.min(2 ** tries, longest) * second * (1 - Math.random() / 2)

async function ask(url: string, request: AbortController): Promise<{ status?: number; ticket?: string }> {
  const limit = setTimeout(() => request.abort(), postLimit)
  try {
    // No `keepalive`: Chromium goes on with such a request for 30 s after its abort, and holds one of the six connections
    // that it has for all tabs.
    const response = await fetch(url, {
      method: 'POST',
      headers: proofOfOrigin(url),
      credentials: 'include',
      redirect: 'error',
      signal: request.signal,
    })
    return response.ok ? { ticket: (await response.json()).ticket } : { status: response.status }
  } catch {
    // Refused, offline, too slow, or a captive portal's page: in each case, try again.
    return {}
  } finally {
    clearTimeout(limit)
  }
}

function keep(root: string, resolve: (page: Page) => void): void {
  const page = Object.assign(new EventTarget(), {
    // Not `randomUUID`, which insecure origins lack; nor from `sessionStorage`, which a duplicated tab gets a copy of.
    id: crypto.getRandomValues(new Uint32Array(4)).join('-'),
    connected: false,
    upload: (files: Iterable<Blob> | Blob, options?: UploadOptions) =>
      send(page, `${root}/upload`, files, options),
  })

  /** From showing to hiding the page; a page in the back/forward cache is off. */
  let on = false
  /** The epoch: it makes what is late from before a return by the back button harmless. */
  let n = 0
  let bye: string
  /** The POST under way. */
  let request: AbortController | undefined
  /** Present while it opens and while it is open; then there is no POST under way. */
  let socket: WebSocket | undefined
  let nextPost: ReturnType<typeof setTimeout>
  let watchdog: ReturnType<typeof setTimeout>
  /** POSTs that failed in a row, and sockets that did. */
  let fails = 0
  let dials = 0
  /** When the next POST is due to stay counted, and when the next socket may be tried, by `performance.now()`. */
  let beatAt = 0
  let dialAt = 0
  /** When the socket was last seen alive, by `Date.now()`: unlike the other it runs on while the computer sleeps. */
  let seenAt = 0

  const url = (route: string) => `${root}/${route}/${page.id}?n=${n}`

  const nextEpoch = () => {
    n++
    bye = url('pagehide')
  }

  const tell = (connected: boolean, reason?: string) => {
    if (page.connected === connected) return
    page.connected = connected
    page.dispatchEvent(
      new CustomEvent<PageChange>(connected ? 'connected' : 'disconnected', {
        detail: reason ? { reason } : {},
      }),
    )
  }

  const postIn = (ms: number) => {
    clearTimeout(nextPost)
    // At once is without a timer: browsers hold the timers of hidden pages back, a second at least.
    if (ms > 0) nextPost = setTimeout(post, ms)
    else post()
  }

  const postWhenDue = () => postIn(Math.min(beatAt, dialAt) - performance.now())

  const post = () => {
    clearTimeout(nextPost)
    const mine = new AbortController()
    request = mine
    void ask(url('heartbeat'), mine).then(({ status, ticket }) => {
      if (request !== mine) return
      request = undefined
      if (ticket) welcome(ticket)
      else refused(status === 409)
    })
  }

  const welcome = (ticket: string) => {
    const now = performance.now()
    // Timers fire up to a millisecond early: `setTimeout` drops the fraction.
    const mayDial = now > dialAt - second / 20
    fails = 0
    beatAt = now + beatEvery
    if (mayDial) dialAt = Infinity
    postWhenDue()
    if (mayDial) dial(ticket)
    tell(true)
    resolve(page as Page)
  }

  const refused = (isGone: boolean) => {
    // This epoch was declared gone, so a new one is the remedy.
    if (isGone) nextEpoch()
    postIn(isGone && !fails ? 0 : backoff(fails + 1, longestRetry))
    fails++
    tell(false)
  }

  const drop = (code: number) => {
    clearTimeout(watchdog)
    const dropped = socket
    socket = undefined
    dropped?.close(code)
  }

  const dial = (ticket: string) => {
    const dialedAt = performance.now()
    watchdog = setTimeout(lost, openLimit)
    seenAt = Date.now()
    try {
      const mine = new WebSocket(`ws${url('heartbeat').slice(4)}&ticket=${encodeURIComponent(ticket)}`)
      socket = mine
      mine.onopen = mine.onmessage = (event: Event & { data?: string }) => {
        if (socket !== mine) return
        // The session is kept alive by this page, and an answer may bring its cookie anew. Nothing follows from it here.
        if (event.data === 'renew') void ask(`${url('heartbeat')}&renew`, new AbortController())
        clearTimeout(nextPost)
        clearTimeout(watchdog)
        watchdog = setTimeout(lost, silenceLimit)
        seenAt = Date.now()
        // Without a socket, a POST will be due at once.
        beatAt = 0
        // Some proxies let a socket open and cut it soon after: only one that lasts is a success.
        if (performance.now() - dialedAt > lasting) dials = 0
      }
      mine.onclose = event => {
        if (socket === mine) lost(event)
      }
    } catch {
      // A policy forbids it.
      lost()
    }
  }

  const lost = (event?: CloseEvent) => {
    // 1000 would be a goodbye.
    drop(4001)
    dialAt = performance.now() + (dials ? backoff(dials, longestRedial) : 0)
    dials++
    if (event?.code === 4000 || event?.code === 1012) {
      // Not all tabs at once: each would make a session. And not before the answer to a login or logout that ended this
      // session has brought its cookie.
      postIn(second / 2 + Math.random() * second)
      tell(false, event.reason)
    } else {
      postWhenDue()
    }
  }

  const start = () => {
    on = true
    fails = dials = dialAt = 0
    nextEpoch()
    post()
  }

  const wake = () => {
    if (!on || (socket && Date.now() - seenAt < frameEvery)) return
    fails = dialAt = 0
    // A POST under way is left alone: two in parallel on the first visit would make two sessions.
    if (request) return
    drop(4001)
    post()
  }

  const listen = () => {
    addEventListener('pagehide', () => {
      // First of all, and nothing but a string: Firefox lost up to 65% of the beacons when any function of the page ran
      // before. Some privacy settings take `sendBeacon` away.
      navigator.sendBeacon?.(bye)
      on = false
      clearTimeout(nextPost)
      request?.abort()
      request = undefined
      // A socket left open would stay open in the back/forward cache.
      drop(1000)
      tell(false, 'pagehide')
    })
    addEventListener('pageshow', () => {
      if (!on) start()
    })
    addEventListener('online', wake)
    // On the close of a visible tab, `visibilitychange` comes after `pagehide`: by then the page is off.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) wake()
    })
    // Chromium closes the sockets of a page that was frozen.
    document.addEventListener('resume', wake)
    start()
  }

  // A prerendered page may never be shown.
  if ((document as { prerendering?: boolean }).prerendering) {
    document.addEventListener('prerenderingchange', listen, { once: true })
  } else {
    listen()
  }
}
