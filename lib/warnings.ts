import cluster from 'node:cluster'
import type { IncomingMessage } from 'node:http'

// Warnings are emitted as the `warning` event of the process, which Node.js prints on stderr.

/**
 * Pages don't connect: most likely, the client script is missing.
 * @param found what shows that
 * @param scriptUrl where the page can load the script
 */
export function warnOfNoPage(found: string, scriptUrl: string): void {
  warn('GRADIO_STATE_NO_PAGE', [
    `${found} So unload hooks can't run when its tab is closed: they run some seconds after the last request.`,
    `Add this line to your pages: <script type="module" src="${scriptUrl}"></script>`,
  ])
}

/**
 * A duration is so long that it was probably meant in milliseconds.
 * @param what which option
 */
export function warnOfMilliseconds(what: string, seconds: number): void {
  // Names of values may contain anything, so their number is limited.
  if (durationsReported.size >= MAX_REPORTED || durationsReported.has(what)) return
  durationsReported.add(what)
  const time = seconds > DAY ? `${Math.floor(seconds / DAY)} days` : `${Math.floor(seconds / 60)} minutes`
  warn('GRADIO_STATE_MILLISECONDS', [
    `Durations are seconds, so ${what} is more than ${time}. If you meant ${seconds} milliseconds, write '${seconds / 1000}s'.`,
    `If not, write '${seconds}s'.`,
  ])
}

const durationsReported = new Set<string>()
const DAY = 86_400

/**
 * Sessions are evicted faster than their callbacks run.
 * @param ending how many ended sessions wait for their callbacks
 * @param busiest the hook or callback with the most running calls
 */
export function warnOfSlowCallbacks(ending: number, busiest = 'the removal of their files'): void {
  warn('GRADIO_STATE_SLOW_CALLBACKS', [
    `${ending} ended sessions have hooks and callbacks that have not settled yet; most wait for ${busiest}. When their number`,
    'reaches maxSessions, no more sessions are evicted, and new ones are refused (503). Make it faster, or lower hookTimeout.',
  ])
}

/** The first `req.session` appeared after sessions had started with the library's own cookie: most likely its store wasn't connected. */
export function warnOfLateSession(): void {
  warn(
    'GRADIO_STATE_LATE_SESSION',
    "Earlier requests had no req.session, so their sessions use the library's own cookie. From now on, req.session is used, " +
      'and those sessions can no longer be reached. If its store was not connected at startup, pass it as the option ' +
      "{ store }, or set { session: 'framework' }: requests without req.session are then refused (503). If only some " +
      "routes have session middleware, mount it before all of them, or set { session: 'cookie' }.",
  )
}

/** Other users could replace the library's files with their own files or links. */
export function warnOfWritableCacheDir(cacheDir: string): void {
  warn(
    'GRADIO_STATE_CACHE_DIR_WRITABLE',
    `All users of this machine can write to cacheDir (${cacheDir}), so they can replace the files that the library stores ` +
      'there. Run chmod o-w on it, or set another cacheDir.',
  )
}

/** An instance was closed because another one had replaced it, and still receives requests: most likely both are in use. */
export function warnOfReplacedInstance(): void {
  warn(
    'GRADIO_STATE_INSTANCE_REPLACED',
    'A gradioState() instance was closed because a later one at the same server, host and path has received a request of one of its ' +
      'users, as after a hot reload, and now the closed one has received a request. Create one instance and share it between routers.',
  )
}

/** What started this process, if that can be seen. */
function processName(): string {
  const { pm_id: pm2 } = process.env
  if (pm2 !== undefined) return ` (instance ${pm2} of PM2)`
  return cluster.isWorker ? ` (worker ${cluster.worker?.id} of node:cluster)` : ''
}

/** One instance's warnings about cookies and processes. Each is emitted once, the one about shared caches once per route, for a limited number of routes. */
export class Warnings {
  readonly #reported = new Set<string>()

  /** Another app may have set one of them, or the path of the cookie has changed. */
  severalCookies(name: string): void {
    this.#once('GRADIO_STATE_SEVERAL_COOKIES', () => [
      `A browser has sent several cookies named ${name}; the first one is used. Another app on this host or domain may have set`,
      "one, or cookie.path has changed. A name that begins with __Host- prevents that (with secure: true and path: '/').",
    ])
  }

  crossSiteRequest(req: IncomingMessage): void {
    this.#once('GRADIO_STATE_CROSS_SITE_REQUEST', () => [
      `${routeOf(req)} used the state in a request from another site. The browser may have withheld its cookie because of`,
      'SameSite, so no new cookie was set, and the session ended with the response. Redirect such requests to a',
      "route that uses the state, or set { cookie: { sameSite: 'none', secure: true } }.",
    ])
  }

  /** Another process answers some requests of the same pages. */
  severalProcesses(): void {
    this.#once('GRADIO_STATE_SEVERAL_PROCESSES', () => [
      `Another process answers some requests of the pages that this one${processName()} serves, but each process keeps its own sessions.`,
      'So users lose their state, and are unloaded while their tab is open. Use sticky sessions, which node:cluster and PM2 have not',
      "by themselves, or one process, or share the sessions: gradioState({ cluster: redis({ … }) }), with redis from 'gradio-state/redis'.",
    ])
  }

  cookieLost(cause: LossCause): void {
    this.#once('GRADIO_STATE_COOKIE_LOST', () => [
      'Pages that have just received the cookie of their session come back without it, so each of their requests begins another session.',
      LOSS_CAUSES[cause ?? 'unknown'],
    ])
  }

  sharedCache(req: IncomingMessage): void {
    const route = routeOf(req)
    if (this.#reported.size > MAX_REPORTED || this.#reported.has(route)) return
    this.#reported.add(route)
    warn('GRADIO_STATE_SHARED_CACHE', [
      `${route} started a session, but shared caches may store its response (Cache-Control: public or s-maxage, or`,
      'CDN-Cache-Control), so the cookie was not set, and the session ended with the response. Use the state on another',
      "route, or respond with 'Cache-Control: private'.",
    ])
  }

  #once(code: string, text: () => string[]): void {
    if (this.#reported.has(code)) return
    this.#reported.add(code)
    warn(code, text())
  }
}

/** Why a browser doesn't return a cookie; `undefined` if it can't be seen. */
export type LossCause = 'proxy' | 'http' | 'frame' | undefined

const LOSS_CAUSES = {
  proxy:
    'The session middleware has cookie.secure, and a proxy has received the requests over https (X-Forwarded-Proto), but is not ' +
    "trusted. Call app.set('trust proxy', 1).",
  http:
    'The cookie has the attribute Secure, and the requests came over http. Serve the app over https, or set cookie.secure to ' +
    "'auto'.",
  frame:
    "The pages are in frames of another site. Use { sameSite: 'none', secure: true, partitioned: true } for the cookie.",
  unknown:
    'The browsers may block cookies, a proxy may remove Set-Cookie or Cookie, or the attributes of the cookie (domain, path, ' +
    'secure, sameSite) may not fit the URL of the pages.',
}

/** Express's routers change `url`. */
function routeOf({ method, url, originalUrl = url }: IncomingMessage & { originalUrl?: string }): string {
  return `${method} ${originalUrl?.replace(/\?.*/, '')}`
}

const MAX_REPORTED = 10

function warn(code: string, message: string | string[]): void {
  const text = typeof message === 'string' ? message : message.join(' ')
  process.emitWarning(`${text} (Reported once.)`, { type: 'GradioStateWarning', code })
}
