import type { UploadOptions } from './upload.js'

/** The `detail` of the events of {@link Page}. */
export interface PageChange {
  /**
   * Why the page was disconnected: the reason that the server sent, such as `expired` or `destroyed` when the session has ended, or
   * `pagehide`. Absent if the network or the server is unavailable.
   */
  reason?: string
}

/**
 * The connection of this document to the server. It emits `connected` and `disconnected` when {@link Page.connected} changes. A short
 * interruption of the socket doesn't change it.
 */
export interface Page extends EventTarget {
  /** A new id for each load of the document. It doesn't change on a reconnect, or on a return from the back/forward cache. */
  readonly id: string
  /** Whether the server considers this page open: its socket is open, or its last heartbeat has succeeded. */
  readonly connected: boolean

  /**
   * Sends files to the server as soon as the page is connected.
   *
   * @returns A promise for the body of the response: parsed JSON, or text. It rejects with an {@link UploadError} if the server refuses
   * the files or can't be reached. When `signal` aborts, it rejects with its reason, by default an `AbortError`.
   */
  upload(files: Iterable<File | Blob> | File | Blob, options?: UploadOptions): Promise<unknown>

  /**
   * The header that names the browser tab of this page, `Gradio-State-Tab`, for requests that {@link Page.fetch} can't send, such as those
   * of `XMLHttpRequest` or axios. Send it only to the server, and only when the page is connected. On the server, the tab's state is
   * `req.gradioState.tab`.
   *
   * Reloads, navigations within the site, reopened tabs and frames of the same origin keep the tab. A duplicated tab, a window opened by a
   * script, and a tab after a crash are new tabs.
   */
  readonly headers: Readonly<Record<string, string>>

  /**
   * Like the global `fetch()`, with {@link Page.headers} on requests to the server's origin. Requests to other origins are not changed.
   *
   * A request to the server is sent when the page is connected: without the session's cookie, it would start its own session. If the page
   * can't connect within 10 s, the request is sent anyway. While the browser leaves the page, requests don't wait. If the server has
   * another origin, `credentials` is `include` by default, and the app's CORS headers have to allow the header `Gradio-State-Tab`.
   *
   * @returns A promise for the response. It rejects if the server can't be reached, or when `signal` aborts.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>

  addEventListener(type: PageEvent, listener: PageListener, options?: boolean | AddEventListenerOptions): void
  addEventListener(...args: Parameters<EventTarget['addEventListener']>): void
  removeEventListener(type: PageEvent, listener: PageListener, options?: boolean | EventListenerOptions): void
  removeEventListener(...args: Parameters<EventTarget['removeEventListener']>): void
}

/** The events of a {@link Page}. */
export type PageEvent = 'connected' | 'disconnected'
/** A listener for the events of a {@link Page}. */
export type PageListener = (event: CustomEvent<PageChange>) => void
