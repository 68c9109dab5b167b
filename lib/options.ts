import type { IncomingMessage } from 'node:http'
import { invalid } from './errors.js'
import { FILE_OPTIONS, type FileConfig, type FileOptions, parseFileOptions } from './file-options.js'
import { count, type Duration, duration, flag, known, oneOf, optionalFunction, shaped } from './parse.js'
import { type Cluster, coordinatorOf } from './sessions/cluster-option.js'
import type { Coordinator } from './sessions/coordinator.js'
import { type Clock, systemClock } from './util/clock.js'

/** The attributes of the library's own cookie. It is always `HttpOnly`. */
export interface CookieOptions {
  /** @default 'gradio_state' */
  name?: string
  /** @default the path that the middleware is mounted on, below `publicPath` */
  path?: string
  domain?: string
  /** @default 'lax' */
  sameSite?: 'lax' | 'strict' | 'none'
  /** `'auto'`: set on requests that came by https (Express's `req.secure`, else the socket). @default 'auto' */
  secure?: boolean | 'auto'
  /** How long the browser keeps the cookie. Without it, until the browser is closed. */
  maxAge?: Duration
}

/** A session store of express-session's kind: of its methods, those that are needed. */
export interface SessionStore {
  get(id: string, done: (error: unknown, session?: unknown) => void): unknown
  set(id: string, session: object, done?: (error?: unknown) => void): unknown
  destroy(id: string, done?: (error?: unknown) => void): unknown
}

/** What `gradioState()` takes. A wrong option throws at once and says which, what was expected and what came. */
export interface GradioStateOptions extends FileOptions {
  /** Where the library's own routes are, below the place it is mounted on. @default '/gradio_api' */
  path?: string
  /**
   * The prefix that a reverse proxy strips from the paths of requests, such as `'/app'`. URLs of files and the own cookie's default path
   * begin with it. @default ''
   */
  publicPath?: string
  /** How long a closed session keeps its state. @default '60m', as in the Gradio guide */
  gracePeriod?: Duration
  /** How long after the last page left `unload` runs; a reload that is quicker is no unload. 0 is Gradio's behaviour. @default 2 */
  unloadDelay?: Duration
  /** How often a connection is sent a ping or a line; at most 30 s, well below what proxies take for idle. @default 15 */
  heartbeat?: Duration
  /** How long a hook or a callback is waited for, each. @default 5 */
  hookTimeout?: Duration
  /** How many sessions are kept. The one that is missed least makes room; an open one never does. @default 10000 */
  maxSessions?: number
  /**
   * How the session of a request is found. `'auto'`: by `req.session`; by the library's own cookie as long as no request has had
   * one and no {@link store} is given. `'framework'`: by `req.session` alone; a use of the state without one is refused
   * (`FRAMEWORK_SESSION_UNAVAILABLE`, 503). `'cookie'`: by the own cookie alone. @default 'auto'
   */
  session?: 'auto' | 'framework' | 'cookie'
  /**
   * The store of express-session. Needed where it can't be found on the requests, and so that requests are refused (503)
   * when it isn't connected at the very first one: express-session then passes requests on without a session, as if it
   * weren't there, and without this option they get the library's own cookie.
   */
  store?: SessionStore
  /**
   * What a login that regenerates the framework session means for the state of its user: `'end'`, or `'keep'` with values
   * and files under the new framework session. A logout ends it either way. @default 'end'
   */
  onRegenerate?: 'end' | 'keep'
  /**
   * Whether an open page keeps its framework session alive, by `touch` after a `get` that has found it. Without it, an open
   * page prolongs nothing. @default false
   */
  keepAlive?: boolean
  /** Other origins whose pages may use the library's routes, such as `'http://localhost:5173'`. @default [] */
  origins?: string[]
  /** The library's own cookie, which stands in where there is no framework session. */
  cookie?: CookieOptions
  /**
   * A credential of the app's own that leads to the session, such as the id in a verified bearer token. Requests with
   * the same one share a session. Where it gives `undefined`, the `session` option decides.
   */
  identify?: (req: IncomingMessage) => string | undefined
  /** Noted when a session is made, and handed to hooks as `session.info`: a user's name, an address. */
  info?: (req: IncomingMessage) => unknown
  /** What several processes share their users' sessions by: `redis({ … })`. @default this process is the only one */
  cluster?: Cluster
  /** @default the machine's clock */
  clock?: Clock
}

/** The options made complete; durations in milliseconds. */
export interface Config extends FileConfig {
  readonly path: string
  readonly publicPath: string
  readonly gracePeriod: number
  readonly unloadDelay: number
  readonly heartbeat: number
  readonly hookTimeout: number
  readonly maxSessions: number
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

export interface CookieConfig {
  readonly name: string
  readonly path: string | undefined
  /** {@link GradioStateOptions.publicPath}, for the default path. */
  readonly publicPath: string
  readonly domain: string | undefined
  readonly sameSite: 'lax' | 'strict' | 'none'
  readonly secure: boolean | 'auto'
  /** Seconds, as in the `Max-Age` attribute. */
  readonly maxAge: number | undefined
}

/** Checks the options and completes them. The caller's object is left as it was. */
export function parseOptions(options: GradioStateOptions = {}): Config {
  known('the options', options, OPTIONS)
  // Defaults of a pattern stand in for `undefined` only: a `null` may be meant as "none", and must not be a default.
  const {
    path = '/gradio_api',
    publicPath = '',
    gracePeriod = '60m',
    unloadDelay = 2,
    heartbeat = 15,
    hookTimeout = 5,
    maxSessions = 10_000,
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
  return {
    ...parseFileOptions(options),
    path: checkPath('path', path, '/gradio_api'),
    publicPath: prefix,
    gracePeriod: duration('gracePeriod', gracePeriod, { from: 0, to: Number.POSITIVE_INFINITY }),
    unloadDelay: duration('unloadDelay', unloadDelay, { from: 0, to: DAY }),
    heartbeat: duration('heartbeat', heartbeat, { from: 100, to: 30_000 }),
    hookTimeout: duration('hookTimeout', hookTimeout, { from: 1, to: DAY }),
    maxSessions: count('maxSessions', maxSessions),
    session: oneOf('session', session, ['auto', 'framework', 'cookie']),
    store: store === undefined ? undefined : shaped('store', store, STORE_METHODS, 'a session store'),
    onRegenerate: oneOf('onRegenerate', onRegenerate, ['end', 'keep']),
    keepAlive: flag('keepAlive', keepAlive),
    origins: new Set(parseOrigins(origins)),
    cookie: parseCookie(cookie, prefix),
    identify: optionalFunction('identify', identify),
    info: optionalFunction('info', info),
    cluster: parseCluster(cluster),
    clock: shaped('clock', clock, CLOCK_METHODS, 'a clock'),
  }
}

const DAY = 86_400_000

// Mapped over the type, so that the compiler keeps both lists complete.
const OPTIONS: Readonly<Record<keyof GradioStateOptions, true>> = {
  ...FILE_OPTIONS,
  path: true,
  publicPath: true,
  gracePeriod: true,
  unloadDelay: true,
  heartbeat: true,
  hookTimeout: true,
  maxSessions: true,
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

const COOKIE_OPTIONS: Readonly<Record<keyof CookieOptions, true>> = {
  name: true,
  path: true,
  domain: true,
  sameSite: true,
  secure: true,
  maxAge: true,
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
    const parsed = typeof origin === 'string' && URL.canParse(origin) ? new URL(origin).origin : undefined
    if (parsed === undefined || parsed === 'null' || parsed !== origin) {
      throw invalid('each of origins', "an origin such as 'https://app.example', without a path", origin)
    }
    return parsed
  })
}

function parseCookie(value: CookieOptions, publicPath: string): CookieConfig {
  known('cookie', value, COOKIE_OPTIONS)
  const { name = 'gradio_state', path, domain, sameSite = 'lax', secure = 'auto', maxAge } = value
  // The token of RFC 9110 §5.6.2, which RFC 6265 §4.1.1 wants a cookie's name to be.
  if (typeof name !== 'string' || !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
    throw invalid('cookie.name', 'a token', name)
  // The values of RFC 6265 §4.1.1; what it doesn't allow, `cookie` would only refuse with each answer.
  if (path !== undefined && (typeof path !== 'string' || !/^\/[!-:=-~]*$/.test(path))) {
    throw invalid('cookie.path', 'a path', path)
  }
  if (domain !== undefined && (typeof domain !== 'string' || !/^\.?[a-z\d-]+(\.[a-z\d-]+)*$/i.test(domain))) {
    throw invalid('cookie.domain', 'a domain', domain)
  }
  if (secure !== 'auto' && typeof secure !== 'boolean')
    throw invalid('cookie.secure', "true, false or 'auto'", secure)
  return {
    name,
    path,
    publicPath,
    domain,
    sameSite: oneOf('cookie.sameSite', sameSite, ['lax', 'strict', 'none']),
    secure,
    maxAge:
      maxAge === undefined
        ? undefined
        : Math.floor(duration('cookie.maxAge', maxAge, { from: 1000, to: 400 * DAY }) / 1000),
  }
}
