import { invalid } from './errors.js'
import { type Duration, duration, flag, known, oneOf } from './parse.js'

/** The attributes of the library's own cookie. It is always `HttpOnly`. */
export interface CookieOptions {
  /** @default 'gradio_state' */
  name?: string
  /** @default the path that the middleware is mounted on, below `publicPath` */
  path?: string
  domain?: string
  /** @default 'lax' */
  sameSite?: 'lax' | 'strict' | 'none'
  /** `'auto'`: set for requests over https (Express's `req.secure`, else the socket). @default 'auto' */
  secure?: boolean | 'auto'
  /**
   * How long the browser keeps the cookie. An open page renews it at half of this time.
   * @default twice `gracePeriod`, at least a day, at most 400 days
   */
  maxAge?: Duration
  /**
   * Whether the cookie is partitioned (CHIPS): then it also works in a frame of another site while third-party cookies are blocked, and
   * each site that embeds the app has its own sessions. Only `Secure` cookies can be partitioned, so over http the attribute isn't sent.
   * @default true with `sameSite: 'none'`, else false
   */
  partitioned?: boolean
}

/** {@link CookieOptions} with defaults. */
export interface CookieConfig {
  readonly name: string
  readonly path: string | undefined
  /** `GradioStateOptions.publicPath`, for the default path. */
  readonly publicPath: string
  readonly domain: string | undefined
  readonly sameSite: 'lax' | 'strict' | 'none'
  readonly secure: boolean | 'auto'
  /** Seconds, as in the `Max-Age` attribute. */
  readonly maxAge: number
  readonly partitioned: boolean
}

/** @param gracePeriod in milliseconds */
export function parseCookie(value: CookieOptions, publicPath: string, gracePeriod: number): CookieConfig {
  known('cookie', value, COOKIE_OPTIONS)
  const {
    name = 'gradio_state',
    path,
    domain,
    sameSite = 'lax',
    secure = 'auto',
    maxAge,
    partitioned = sameSite === 'none',
  } = value
  // A token of RFC 9110 §5.6.2, as RFC 6265 §4.1.1 requires for the name of a cookie.
  if (typeof name !== 'string' || !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
    throw invalid('cookie.name', 'a token', name)
  // The values that RFC 6265 §4.1.1 allows. `cookie` would refuse others only when a response is sent.
  if (path !== undefined && (typeof path !== 'string' || !/^\/[!-:=-~]*$/.test(path))) {
    throw invalid('cookie.path', 'a path', path)
  }
  if (domain !== undefined && (typeof domain !== 'string' || !/^\.?[a-z\d-]+(\.[a-z\d-]+)*$/i.test(domain))) {
    throw invalid('cookie.domain', 'a domain', domain)
  }
  if (secure !== 'auto' && typeof secure !== 'boolean')
    throw invalid('cookie.secure', "true, false or 'auto'", secure)
  const lifetime =
    maxAge === undefined
      ? Math.min(Math.max(2 * gracePeriod, DAY), MOST_DAYS)
      : duration('cookie.maxAge', maxAge, { from: 1000, to: MOST_DAYS })
  return {
    name,
    path,
    publicPath,
    domain,
    sameSite: oneOf('cookie.sameSite', sameSite, ['lax', 'strict', 'none']),
    secure,
    maxAge: Math.floor(lifetime / 1000),
    partitioned: flag('cookie.partitioned', partitioned),
  }
}

const DAY = 86_400_000
/** Browsers keep no cookie longer than 400 days. */
const MOST_DAYS = 400 * DAY

// Mapped over the type, so that the compiler keeps the list complete.
const COOKIE_OPTIONS: Readonly<Record<keyof CookieOptions, true>> = {
  name: true,
  path: true,
  domain: true,
  sameSite: true,
  secure: true,
  maxAge: true,
  partitioned: true,
}
