import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Session } from '../core/session.js'
import { GradioStateError } from '../errors.js'

/** A request with what session middleware and Express put on it. */
export interface HostRequest extends IncomingMessage {
  session?: unknown
  sessionID?: unknown
  sessionStore?: unknown
  secure?: boolean
  baseUrl?: string
}

/** Where one request carries the token of its session. */
export interface Host {
  /** The token that the request came with. Free of effects. */
  find(): string | undefined
  /**
   * The token under which this request's session is begun: the one it came with, or a new one. Free of effects.
   * @throws GradioStateError when the browser could not be told of it any more
   */
  prepare(): string
  /** Sees to it that the browser's later requests come with the token that {@link prepare} gave. */
  keep(token: string): void
  /** The request has come to this session: from now on, what becomes of its host session is heard of. */
  follow?(session: Session): void
  /** Resolves when the browser's next request will find the token, even while this answer is still being written. */
  persist(): Promise<void>
}

/** A host session's place for the token. */
export interface Marker {
  gradioState?: { readonly token?: unknown }
}

/** The token in a host session, if there is one. */
export function markedToken(session: object): string | undefined {
  const token = (session as Marker).gradioState?.token
  return typeof token === 'string' ? token : undefined
}

/** Whether a cookie can still be set. False for the empty object that stands for a response in an upgrade. */
export function canSetCookie(res: ServerResponse): boolean {
  return typeof res.setHeader === 'function' && !res.headersSent
}

export function headersSent(): GradioStateError {
  return new GradioStateError(
    'HEADERS_SENT',
    'Expected the first use of req.gradioState before the headers of the answer are sent, since they bring the browser the cookie of its session. Use it, or await req.gradioState.establish(), earlier.',
  )
}
