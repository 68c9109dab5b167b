import type { IncomingMessage, ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'
import type { Session } from '../sessions/session.js'

/** What a framework and its session middleware know of a request. Express has it on the request itself. */
export interface RequestContext {
  /** The host session as it is by now: a login may have put another in its place. */
  session?: unknown
  /** What the host calls it. */
  sessionID?: unknown
  /** Whether the browser's connection is encrypted, a trusted proxy's word included. */
  secure?: boolean
  /** The path that the middleware is mounted on. */
  baseUrl?: string
  /** Who is logged in, as Passport has it. */
  user?: unknown
  /** The host session's own workings, where the host is koa-session. */
  readonly koaSession?: KoaSession | undefined
}

/** A request with what session middleware and Express put on it. */
export interface HostRequest extends IncomingMessage, RequestContext {
  sessionStore?: unknown
}

/** The context that koa-session 6 and 7 make of each request (their `lib/context.js`): of its parts, those used here. */
export interface KoaSession {
  /** `false` after `ctx.session = null`. */
  readonly session?: KoaSessionContent | false
  /** Where the sessions are; without one, they are in the cookie. */
  readonly store?: KoaExternalStore
  readonly externalKey?: string
  readonly opts: { readonly ContextStore?: unknown }
  readonly ctx: unknown
  commit(options?: { save?: boolean; regenerate?: boolean }): Promise<void>
}

/** An external store of koa-session. */
export interface KoaExternalStore {
  get(key: string, maxAge: unknown, options: object): MaybeStored | Promise<MaybeStored>
  set(key: string, session: object, maxAge: unknown, options: object): unknown
  destroy(key: string, options: object): unknown
}

/** What koa-session stores: the content of `ctx.session`, and when it expires (ms since the epoch). */
export interface KoaStoredSession {
  readonly _expire?: number
  readonly _maxAge?: number
}

type MaybeStored = KoaStoredSession | null | undefined

/** `ctx.session` of koa-session. */
export interface KoaSessionContent extends Marker {
  readonly isNew: boolean
  readonly _expire?: number
  toJSON(): object
}

/**
 * A request, with all that its host can be told by. A class rather than an object literal: V8 learns to allocate the literals of
 * a busy server in the old generation, where each would keep its request until the next full collection.
 */
export class Caller {
  readonly req: IncomingMessage
  /** None at an upgrade. */
  readonly res: ServerResponse | undefined
  readonly context: RequestContext
  /** The path that the middleware is mounted on: at the first use, `context.baseUrl` is some router's. */
  readonly base: string
  /** What the expiry watch had counted when the request came. */
  readonly arrivedAt: number

  constructor(
    req: IncomingMessage,
    res: ServerResponse | undefined,
    context: RequestContext,
    arrivedAt: number,
  ) {
    this.req = req
    this.res = res
    this.context = context
    this.base = context.baseUrl ?? ''
    this.arrivedAt = arrivedAt
  }

  /** The host session, if there is one by now. */
  get session(): unknown {
    return this.context.session
  }

  /** What the host calls it. */
  get sessionID(): unknown {
    return this.context.sessionID
  }

  /** Where the host is koa-session. What Express knows of a request is the request itself. */
  get koaSession(): KoaSession | undefined {
    return this.context === this.req ? undefined : this.context.koaSession
  }
}

/** Where one request carries the token of its session. */
export interface Host {
  /**
   * `false` when nothing tells that there ever was a session: the token that {@link find} gives is only the one that
   * it would have. Only some hosts can tell.
   */
  readonly isMarked?: boolean
  /** Whether a session of this process has come by this host session. Only hosts that say {@link isMarked} tell. */
  readonly isFollowed?: boolean
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
  /** Resolves when the answer that is about to be written brings what {@link keep} has kept; only some hosts need that. */
  announce?(): Promise<void>
  /** Does what the host does at the end of each request, where that would come too late for an answer of ours. */
  renew?(): Promise<void>
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

/** Whether a cookie can still be set. At an upgrade an empty object may stand for the response. */
export function canSetCookie(res: ServerResponse | undefined): res is ServerResponse {
  return typeof res?.setHeader === 'function' && !res.headersSent
}

export function headersSent(): GradioStateError {
  return new GradioStateError(
    'HEADERS_SENT',
    'Expected the first use of req.gradioState before the headers of the answer are sent, since they bring the browser the cookie of its session. Use it, or await req.gradioState.establish(), earlier.',
  )
}
