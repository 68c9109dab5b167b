import type { IncomingMessage } from 'node:http'

// Warnings are emitted as the `warning` event of the process, which Node.js prints on stderr.

/** Sessions end that never had a page: most likely the client script is missing. */
export function warnOfNoPage(): void {
  warn(
    'GRADIO_STATE_NO_PAGE',
    'A session ended that never had a page, so nobody could notice a closed tab before the grace period was over. ' +
      'Put <script type="module" src="/gradio_api/client.js"></script> into your pages.',
  )
}

/**
 * Sessions are evicted faster than their callbacks run.
 * @param ending how many sessions wait for callbacks
 * @param busiest the hook or callback that most of the running calls are of
 */
export function warnOfSlowCallbacks(ending: number, busiest = 'the removal of their files'): void {
  warn('GRADIO_STATE_SLOW_CALLBACKS', [
    `${ending} sessions have ended whose hooks and callbacks have not settled yet; most wait for ${busiest}. When they are as`,
    'many as maxSessions, no more sessions are evicted, and new ones are refused (503). Make it faster, or lower hookTimeout.',
  ])
}

/** The first `req.session` appeared after sessions had begun by the library's own cookie: most likely its store wasn't connected. */
export function warnOfLateSession(): void {
  warn(
    'GRADIO_STATE_LATE_SESSION',
    'Earlier requests had no req.session, so their sessions began by the cookie of the library; from now on, req.session ' +
      'decides, and these sessions are reached no more. If its store was not connected at the start, pass it as the option ' +
      "{ store }, or set { session: 'framework' }: requests without req.session are refused then (503). If only some " +
      "routes have a session middleware, put it before all of them, or set { session: 'cookie' }.",
  )
}

/** Other users could put links or files of their own in place of those of the library. */
export function warnOfWritableCacheDir(cacheDir: string): void {
  warn(
    'GRADIO_STATE_CACHE_DIR_WRITABLE',
    `All users of this machine can write to cacheDir (${cacheDir}), and so replace what the library stores there. Run ` +
      'chmod o-w on it, or set another cacheDir.',
  )
}

/** The warnings about cookies of one instance. Each is emitted once, the one about shared caches once for each of some routes. */
export class Warnings {
  readonly #reported = new Set<string>()

  /** A subdomain may have set one of them, or the path of the cookie has changed. */
  severalCookies(name: string): void {
    this.#once('GRADIO_STATE_SEVERAL_COOKIES', () => [
      `A browser has sent several cookies named ${name}; the first one counts. Another app on this host or domain may have set`,
      "one, or cookie.path has changed. A name that begins with __Host- prevents that (with secure: true and path: '/').",
    ])
  }

  crossSiteRequest(req: IncomingMessage): void {
    this.#once('GRADIO_STATE_CROSS_SITE_REQUEST', () => [
      `${routeOf(req)} was requested by a page of another site and has used the state. Its browser may have a cookie that SameSite`,
      'has withheld, so no other one was set, and the session has ended with the response. Redirect such requests to a',
      "route that uses the state, or set { cookie: { sameSite: 'none', secure: true } }.",
    ])
  }

  sharedCache(req: IncomingMessage): void {
    const route = routeOf(req)
    if (this.#reported.size > MAX_ROUTES || this.#reported.has(route)) return
    this.#reported.add(route)
    warn('GRADIO_STATE_SHARED_CACHE', [
      `${route} has begun a session, but shared caches may store its response (Cache-Control: public or s-maxage, or`,
      'CDN-Cache-Control), so the cookie was not set, and the session has ended with the response. Use the state on another',
      "route, or respond with 'Cache-Control: private'.",
    ])
  }

  #once(code: string, text: () => string[]): void {
    if (this.#reported.has(code)) return
    this.#reported.add(code)
    warn(code, text())
  }
}

/** Express's routers change `url`. */
function routeOf({ method, url, originalUrl = url }: IncomingMessage & { originalUrl?: string }): string {
  return `${method} ${originalUrl?.replace(/\?.*/, '')}`
}

const MAX_ROUTES = 10

function warn(code: string, message: string | string[]): void {
  const text = typeof message === 'string' ? message : message.join(' ')
  process.emitWarning(`${text} (Reported once.)`, { type: 'GradioStateWarning', code })
}
