import type { ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'
import type { Session } from '../sessions/session.js'

/** The cookie by which a browser returns a token. */
export interface TokenCookie {
  /** Whether it is in a `Cookie` header. */
  readonly pattern: RegExp
  /** Set for a `Secure` cookie. `checked`: the framework doesn't send it unless it knows that the connection is encrypted. */
  readonly secure: 'checked' | 'unchecked' | undefined
}

/** Where the token of one request's session is stored. */
export interface TokenStorage {
  /**
   * `false` when no token is stored: the token that {@link find} returns is only the one that a session would have.
   * `undefined`: unknown.
   */
  readonly hasToken?: boolean
  /** Whether the framework session leads to a session of this process. Defined together with {@link hasToken}. */
  readonly isWatched?: boolean
  /** The token that the request contained. Has no side effects. */
  find(): string | undefined
  /**
   * The token under which this request's session starts: the one that the request contained, or a new one. Has no side effects.
   * @throws GradioStateError `HEADERS_SENT` when the browser can't receive a new token with this response
   */
  prepare(): string
  /** Stores the token that {@link prepare} returned, so that the browser's later requests contain it. */
  keep(token: string): void
  /** Called when the request has entered its session. From then on, the session ends with its framework session. */
  watchSession?(session: Session): void
  /** Resolves when a response whose head is written next will give the browser the token. Not needed by every storage. */
  persistBeforeHeaders?(): Promise<void>
  /** The credential of a framework session that its store doesn't know; see `JoinedSessions`. */
  readonly staleCredential?: string | undefined
  /** The cookie that leads to the token, if its name or the form of its value is known. */
  readonly cookie?: TokenCookie | undefined
  /** Whether the response doesn't give the browser the token: then no later request can find the session that it has started. */
  readonly isWithheld?: boolean
  /** Sends the library's own cookie again, so that the browser keeps it longer. */
  renewCookie?(): void
  /** Does now what the framework does at the end of each request, for a response that the library itself sends. */
  renew?(): Promise<void>
  /** Resolves when the browser's next request will find the token, even while this response is still being written. */
  persist(): Promise<void>
}

/** Finds the cookie with that name in a `Cookie` header. */
export function patternOf(name: string): RegExp {
  return new RegExp(`(^|; ?)${name.replace(/[^\w-]/g, '\\$&')}=`)
}

/** A framework session with a token. */
export interface MarkedSession {
  gradioState?: { readonly token?: unknown }
}

/** The token in a framework session, if there is one. */
export function tokenIn(session: object): string | undefined {
  const token = (session as MarkedSession).gradioState?.token
  return typeof token === 'string' ? token : undefined
}

/** Whether a cookie can still be set. At an upgrade, the response may be an empty object. */
export function canSetCookie(res: ServerResponse | undefined): res is ServerResponse {
  return typeof res?.setHeader === 'function' && !res.headersSent
}

export function headersSent(): GradioStateError {
  return new GradioStateError(
    'HEADERS_SENT',
    'Expected the first use of req.gradioState before the headers of the response are sent, since they give the browser the cookie of its session. Use it, or await req.gradioState.establish(), earlier.',
  )
}
