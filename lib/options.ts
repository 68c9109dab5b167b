import type { IncomingMessage } from 'node:http'
import { type CookieConfig, type CookieOptions, parseCookie } from './cookie-options.js'
import { invalid } from './errors.js'
import { FILE_OPTIONS, type FileConfig, type FileOptions, parseFileOptions } from './file-options.js'
import { count, type Duration, duration, flag, known, oneOf, optionalFunction, shaped } from './parse.js'
import { type Cluster, coordinatorOf } from './sessions/cluster-option.js'
import type { Coordinator } from './sessions/coordinator.js'
import { type Clock, systemClock } from './util/clock.js'

/** The part used here of a session store of express-session. */
export interface SessionStore {
  get(id: string, done: (error: unknown, session?: unknown) => void): unknown
  set(id: string, session: object, done?: (error?: unknown) => void): unknown
  destroy(id: string, done?: (error?: unknown) => void): unknown
}

/** The options of `gradioState()`. An invalid one throws an error that says which, what was expected and what was received. */
export interface GradioStateOptions extends FileOptions {
  /** The path of the library's own routes, below the path of the middleware. @default '/gradio_api' */
  path?: string
  /**
   * The prefix that a reverse proxy strips from the paths of requests, such as `'/app'`. The URLs of files, and the default path of the
   * library's own cookie, begin with it. @default ''
   */
  publicPath?: string
  /**
   * How long a closed session keeps its state: from when its last page has closed and its last request has ended. If it is shorter than
   * `unloadDelay`, `unload` hooks run at its end. @default '60m', as in the Gradio guide
   */
  gracePeriod?: Duration
  /** The time from the last page's disconnect to `unload`. A faster reload doesn't unload. 0 is Gradio's behaviour. @default 2 */
  unloadDelay?: Duration
  /** How often a ping is sent on each connection; at most 30 s, well below the idle timeouts of proxies. @default 15 */
  heartbeat?: Duration
  /** The time limit of each hook and callback. @default 5 */
  hookTimeout?: Duration
  /**
   * The maximum number of sessions. Starting another one evicts a closed session, never an open one: first those of a single request, then
   * those that had pages for less than 30 s in total, then the others; in each group, the session that has been closed the longest.
   * @default 10000
   */
  maxSessions?: number
  /**
   * The maximum number of scopes in a session. Starting another one evicts the scope that has been closed the longest, never an open one.
   * @default 100
   */
  maxScopes?: number
  /**
   * How the session of a request is found. `'auto'`: by `req.session`; by the library's own cookie as long as no request has had
   * one and no {@link store} is given. `'framework'`: by `req.session` alone; a use of the state without one is refused
   * (`FRAMEWORK_SESSION_UNAVAILABLE`, 503). `'cookie'`: by the library's own cookie alone. @default 'auto'
   */
  session?: 'auto' | 'framework' | 'cookie'
  /**
   * The store of express-session. Needed if the requests don't have it, and to refuse requests (503) while it isn't connected at
   * startup: express-session then passes requests on without a session, and without this option they get the library's own cookie.
   */
  store?: SessionStore
  /**
   * What happens to the state when a login regenerates the framework session: `'end'`, or `'keep'`: values and files stay under the
   * new framework session. A logout always ends it. @default 'end'
   */
  onRegenerate?: 'end' | 'keep'
  /** Whether an open page keeps its framework session alive, by `touch` after a successful `get`. @default false */
  keepAlive?: boolean
  /**
   * Other origins whose pages may use the library's routes, such as `'http://localhost:5173'`, including those of apps and extensions
   * (`'tauri://localhost'`). @default []
   */
  origins?: string[]
  /** The library's own cookie, used where there is no framework session. */
  cookie?: CookieOptions
  /**
   * Returns the app's own credential that identifies the session, such as the id in a verified bearer token. Requests with the same one
   * share a session. If it returns `undefined`, the `session` option applies.
   */
  identify?: (req: IncomingMessage) => string | undefined
  /** Called when a session starts. Its result is passed to hooks as `session.info`: a user's name, an address. */
  info?: (req: IncomingMessage) => unknown
  /** Shares sessions between several processes: `redis({ … })`. @default no other process */
  cluster?: Cluster
  /** @default the system's clock */
  clock?: Clock
}

/** {@link GradioStateOptions} with defaults; durations in milliseconds. */
export interface Config extends FileConfig {
  readonly path: string
  readonly publicPath: string
  readonly gracePeriod: number
  readonly unloadDelay: number
  readonly heartbeat: number
  readonly hookTimeout: number
  readonly maxSessions: number
  readonly maxScopes: number
  readonly session: 'auto' | 'framework' | 'cookie'
  readonly store: SessionStore | undefined
  readonly onRegenerate: 'end' | 'keep'
  readonly keepAlive: boolean
  readonly origins: ReadonlySet<string>
  readonly cookie: CookieConfig
  readonly identify: ((req: IncomingMessage) => string | undefined) | undefined
  readonly info: ((req: IncomingMessage) => unknown) | undefined
  readonly cluster: (() => Coordinator) | undefined
  readonly clock: Clock
}

/** Validates the options and adds the defaults. Doesn't change the caller's object. */
export function parseOptions(options: GradioStateOptions = {}): Config {
  known('the options', options, OPTIONS)
  // Default parameters replace `undefined` only. A `null` may be meant as "none", and is refused.
  const {
    path = '/gradio_api',
    publicPath = '',
    gracePeriod = '60m',
    unloadDelay = 2,
    heartbeat = 15,
    hookTimeout = 5,
    maxSessions = 10_000,
    maxScopes = 100,
    session = 'auto',
    store,
    onRegenerate = 'end',
    keepAlive = false,
    origins = [],
    cookie = {},
    identify,
    info,
    cluster,
    clock = systemClock,
  } = options
  const prefix = checkPublicPath(publicPath)
  const grace = duration('gracePeriod', gracePeriod, { from: 0, to: Number.POSITIVE_INFINITY })
  return {
    ...parseFileOptions(options),
    path: checkPath('path', path, '/gradio_api'),
    publicPath: prefix,
    gracePeriod: grace,
    unloadDelay: duration('unloadDelay', unloadDelay, { from: 0, to: DAY, usual: HOUR }),
    heartbeat: duration('heartbeat', heartbeat, { from: 100, to: 30_000 }),
    hookTimeout: duration('hookTimeout', hookTimeout, { from: 1, to: DAY, usual: HOUR }),
    maxSessions: count('maxSessions', maxSessions),
    maxScopes: count('maxScopes', maxScopes),
    session: oneOf('session', session, ['auto', 'framework', 'cookie']),
    store: store === undefined ? undefined : shaped('store', store, STORE_METHODS, 'a session store'),
    onRegenerate: oneOf('onRegenerate', onRegenerate, ['end', 'keep']),
    keepAlive: flag('keepAlive', keepAlive),
    origins: new Set(parseOrigins(origins)),
    cookie: parseCookie(cookie, prefix, grace),
    identify: optionalFunction('identify', identify),
    info: optionalFunction('info', info),
    cluster: parseCluster(cluster),
    clock: shaped('clock', clock, CLOCK_METHODS, 'a clock'),
  }
}

const DAY = 86_400_000
const HOUR = 3_600_000

// Mapped over the types, so that the compiler keeps the lists complete.
const OPTIONS: Readonly<Record<keyof GradioStateOptions, true>> = {
  ...FILE_OPTIONS,
  path: true,
  publicPath: true,
  gracePeriod: true,
  unloadDelay: true,
  heartbeat: true,
  hookTimeout: true,
  maxSessions: true,
  maxScopes: true,
  session: true,
  store: true,
  onRegenerate: true,
  keepAlive: true,
  origins: true,
  cookie: true,
  identify: true,
  info: true,
  cluster: true,
  clock: true,
}

const STORE_METHODS: Readonly<Record<keyof SessionStore, true>> = { get: true, set: true, destroy: true }

const CLOCK_METHODS: Readonly<Record<keyof Clock, true>> = { now: true, wall: true, setTimer: true }

function checkPath(option: string, value: unknown, example: string): string {
  if (typeof value !== 'string' || !/^(\/[\w.~-]+)+$/.test(value)) {
    throw invalid(option, `a path such as '${example}', without a slash at its end`, value)
  }
  return value
}

function checkPublicPath(value: unknown): string {
  return value === '' ? value : checkPath('publicPath', value, '/app')
}

function parseCluster(value: unknown): (() => Coordinator) | undefined {
  if (value === undefined) return undefined
  const make = coordinatorOf(value)
  if (make === undefined) throw invalid('cluster', 'what redis() of gradio-state/redis gives', value)
  return make
}

function parseOrigins(value: unknown): string[] {
  if (!Array.isArray(value)) throw invalid('origins', 'an array of origins', value)
  return value.map(origin => {
    if (typeof origin !== 'string' || !isOrigin(origin)) {
      throw invalid(
        'each of origins',
        "an origin such as 'https://app.example' or 'tauri://localhost', without a path",
        origin,
      )
    }
    return origin
  })
}

/** Whether browsers send this text in `Origin`. `null` isn't accepted: every sandboxed frame and every file sends it. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { origin, protocol, host, href } = new URL(text)
  if (origin !== 'null') return origin === text
  // The schemes of apps and extensions: for these, `URL` doesn't determine the origin.
  return host !== '' && href === text && text === `${protocol}//${host}`
}
