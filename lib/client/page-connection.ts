import { type Goodbye, listenForGoodbye } from './goodbye.js'
import { postHeartbeat } from './heartbeat.js'
import { isOwnOrigin } from './own-origin.js'
import { randomId } from './random-id.js'
import { watchSession } from './session-mark.js'
import { browserTab } from './tab.js'
import { sendRequest } from './tab-fetch.js'
import type { Page, PageChange } from './types.js'
import { sendFiles, type UploadOptions } from './upload.js'

const second = 1000
const heartbeatInterval = 20 * second
const openTimeout = 10 * second
/** The server sends a message at least every 30 s, since scripts can't see its pings. */
const messageInterval = 30 * second
const silenceTimeout = 70 * second
const stableAfter = 20 * second
// In seconds.
const maxHeartbeatBackoff = 60
const maxSocketBackoff = 300

/** In milliseconds: 2^`failures` s, randomly reduced by up to half, so that pages don't all reconnect at once after a restart of the server. */
const backoff = (failures: number, max: number): number =>
  Math.min(2 ** failures, max) * second * (1 - Math.random() / 2)

/**
 * Keeps this page connected to the server, with a WebSocket or with heartbeats, until the browser leaves the document.
 * @param root - The URL of the library's routes.
 * @param resolve - Called with the page when the server has accepted it. May be called again.
 */
export function keepConnected(root: string, resolve: (page: Page) => void): void {
  const page = Object.assign(new EventTarget(), {
    // Not stored in `sessionStorage`, which is copied to a duplicated tab.
    id: randomId(),
    connected: false,
    headers: {} as Readonly<Record<string, string>>,
    fetch(input: string | URL | Request, init?: RequestInit) {
      if (!page.connected) reconnectIfLost()
      return sendRequest(page, root, isShown, input, init)
    },
    upload(files: Iterable<Blob> | Blob, options?: UploadOptions) {
      if (!page.connected) reconnectIfLost()
      return sendFiles(page, `${root}/upload`, files, options)
    },
  })

  /** `false` from `pagehide` to `pageshow`, for example in the back/forward cache. */
  let isShown = false
  /** Lets the server ignore requests that were sent before a return from the back/forward cache and arrive late. */
  let epoch = 0
  const goodbye: Goodbye = { url: '', hint: '' }
  /** The last one. It admits one socket; in a heartbeat, it identifies the session that the page was in. */
  let ticket = ''
  /** The heartbeat in flight. */
  let request: AbortController | undefined
  /** Set while it opens or is open. No heartbeat is in flight then. */
  let socket: WebSocket | undefined
  let heartbeatTimer: ReturnType<typeof setTimeout>
  let watchdog: ReturnType<typeof setTimeout>
  /** Consecutive failures. */
  let failedHeartbeats = 0
  let failedSockets = 0
  /** When the next heartbeat is due, and when the next socket may be opened, by `performance.now()`. */
  let nextHeartbeatAt = 0
  let nextSocketAt = 0
  /** When the last message was received, by `Date.now()`: `performance.now()` may stop while the computer sleeps. */
  let lastMessageAt = 0

  const url = (route: string) => `${root}/${route}/${page.id}?n=${epoch}`
  const heartbeatUrl = () => `${url('heartbeat')}&ticket=${encodeURIComponent(ticket)}`

  const nextEpoch = () => {
    epoch++
    goodbye.url = url('pagehide')
    goodbye.hint = ''
  }

  const setConnected = (connected: boolean, reason?: string) => {
    if (page.connected === connected) return
    page.connected = connected
    page.dispatchEvent(
      new CustomEvent<PageChange>(connected ? 'connected' : 'disconnected', {
        detail: reason ? { reason } : {},
      }),
    )
  }

  const heartbeatIn = (ms: number) => {
    clearTimeout(heartbeatTimer)
    // Without a timer if it is due: browsers delay the timers of hidden pages by at least a second.
    if (ms > 0) heartbeatTimer = setTimeout(sendHeartbeat, ms)
    else sendHeartbeat()
  }

  const heartbeatWhenDue = () => heartbeatIn(Math.min(nextHeartbeatAt, nextSocketAt) - performance.now())

  const sendHeartbeat = () => {
    clearTimeout(heartbeatTimer)
    const mine = new AbortController()
    request = mine
    void postHeartbeat(heartbeatUrl(), mine, page.headers).then(response => {
      if (request !== mine) return
      request = undefined
      if (response.ticket) {
        ticket = response.ticket
        onAccepted()
      } else {
        onFailed(response.status === 409)
      }
      if (response.mark) session.enter(response.mark)
    })
  }

  const onAccepted = () => {
    const now = performance.now()
    // Timers fire up to a millisecond early: `setTimeout` drops the fraction.
    const mayOpen = now > nextSocketAt - second / 20
    failedHeartbeats = 0
    nextHeartbeatAt = now + heartbeatInterval
    if (mayOpen) nextSocketAt = Infinity
    heartbeatWhenDue()
    if (mayOpen) openSocket()
    setConnected(true)
    resolve(page as Page)
  }

  const onFailed = (isGone: boolean) => {
    // The server has received a goodbye for this epoch.
    if (isGone) nextEpoch()
    heartbeatIn(isGone && !failedHeartbeats ? 0 : backoff(failedHeartbeats + 1, maxHeartbeatBackoff))
    failedHeartbeats++
    setConnected(false)
  }

  const closeSocket = (code: number, reason?: string) => {
    clearTimeout(watchdog)
    const closing = socket
    socket = undefined
    closing?.close(code, reason)
  }

  const openSocket = () => {
    const startedAt = performance.now()
    watchdog = setTimeout(onSocketLost, openTimeout)
    lastMessageAt = Date.now()
    try {
      const mine = new WebSocket(`ws${heartbeatUrl().slice(4)}`)
      socket = mine
      mine.onopen = mine.onmessage = (event: Event & { data?: string }) => {
        if (socket !== mine) return
        if (event.data === 'renew') void renew()
        session.compare()
        clearTimeout(heartbeatTimer)
        clearTimeout(watchdog)
        watchdog = setTimeout(onSocketLost, silenceTimeout)
        lastMessageAt = Date.now()
        // When the socket is lost, a heartbeat is due at once.
        nextHeartbeatAt = 0
        // Some proxies accept a socket and close it soon after, so a socket counts as successful only after a while.
        if (performance.now() - startedAt > stableAfter) failedSockets = 0
      }
      mine.onclose = event => {
        if (socket === mine) onSocketLost(event)
      }
    } catch {
      // A Content-Security-Policy may forbid it.
      onSocketLost()
    }
  }

  const onSocketLost = (event?: CloseEvent) => {
    // 1000 would mean a goodbye.
    closeSocket(4001)
    nextSocketAt = performance.now() + (failedSockets ? backoff(failedSockets, maxSocketBackoff) : 0)
    failedSockets++
    if (event?.code === 4000 || event?.code === 1012) {
      // Tabs must not all reconnect at once: each would start a session. After a login or logout, the response has to set its cookie first.
      // If the framework session has expired, the app's next request starts another one.
      heartbeatIn((event.reason === 'expired' ? heartbeatInterval : second / 2) + Math.random() * second)
      setConnected(false, event.reason)
    } else {
      heartbeatWhenDue()
    }
  }

  /** The response renews the cookie of the session. */
  const renew = async () => {
    const { status, mark = '' } = await postHeartbeat(`${url('heartbeat')}&renew`, new AbortController())
    return status ? mark : undefined
  }

  const move = () => {
    if (request || !isShown) return
    closeSocket(1000)
    start()
  }

  const session = watchSession(isOwnOrigin(root), () => !!request || !isShown, renew, move)

  const start = () => {
    isShown = true
    failedHeartbeats = failedSockets = nextSocketAt = 0
    nextEpoch()
    sendHeartbeat()
  }

  const reconnectIfLost = () => {
    if (!isShown || (socket && Date.now() - lastMessageAt < messageInterval)) return
    failedHeartbeats = nextSocketAt = 0
    // Two parallel heartbeats without a cookie would start two sessions.
    if (request) return
    closeSocket(4001)
    sendHeartbeat()
  }

  const listen = () => {
    const tab = browserTab()
    page.headers = tab.headers
    listenForGoodbye(goodbye, () => {
      tab.leave()
      isShown = false
      clearTimeout(heartbeatTimer)
      request?.abort()
      request = undefined
      // Otherwise it could stay open in the back/forward cache.
      closeSocket(1000, goodbye.hint)
      setConnected(false, 'pagehide')
    })
    addEventListener('pageshow', () => {
      if (isShown) return
      tab.enter()
      start()
    })
    addEventListener('online', reconnectIfLost)
    // When a visible tab is closed, `visibilitychange` is emitted after `pagehide` and does nothing.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) reconnectIfLost()
    })
    // Chromium closes the sockets of frozen pages.
    document.addEventListener('resume', reconnectIfLost)
    start()
  }

  // A prerendered page may never be shown.
  if ((document as { prerendering?: boolean }).prerendering) {
    document.addEventListener('prerenderingchange', listen, { once: true })
  } else {
    listen()
  }
}
