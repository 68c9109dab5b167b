import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { MarkedSession } from './token-storage.js'

/** What a framework and its session middleware provide for a request. In Express, the request itself has these properties. */
export interface RequestContext {
  /** The current framework session: a login may have replaced it. */
  session?: unknown
  /** The framework session's id. */
  sessionID?: unknown
  /** Whether the browser's connection is encrypted, according to the socket or a trusted proxy. */
  secure?: boolean
  /** The path that the middleware is mounted on. */
  baseUrl?: string
  /** Koa's setting `app.proxy`. Express has its own in {@link FrameworkRequest.app}. */
  readonly trustsProxy?: boolean
  /** The user who is logged in, as Passport sets it. */
  user?: unknown
  /** The internals of koa-session, if that provides the session. */
  readonly koaSession?: KoaSession | undefined
}

/** A request with the properties that Express and session middleware add. */
export interface FrameworkRequest extends IncomingMessage, RequestContext {
  sessionStore?: unknown
  readonly app?: { get?(setting: string): unknown }
}

/** The part used here of the context that koa-session 6 and 7 create for each request (their `lib/context.js`). */
export interface KoaSession {
  /** `false` after `ctx.session = null`. */
  readonly session?: KoaSessionContent | false
  /** The session store; without one, the cookie contains the session. */
  readonly store?: KoaExternalStore
  readonly externalKey?: string
  readonly opts: { readonly ContextStore?: unknown; readonly key?: string }
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
export interface KoaSessionContent extends MarkedSession {
  readonly isNew: boolean
  readonly _expire?: number
  toJSON(): object
}

/** Whether the browser's connection is encrypted. Frameworks take the `X-Forwarded-Proto` of a trusted proxy into account. */
export function isEncrypted({ context, req }: Pick<SessionRequest, 'context' | 'req'>): boolean {
  return context.secure ?? (req.socket as TLSSocket).encrypted === true
}

/**
 * A request, with everything that identifies its session. A class rather than an object literal: V8 learns to allocate the literals of
 * a busy server in the old generation, where each would keep its request until the next full collection.
 */
export class SessionRequest {
  readonly req: IncomingMessage
  /** `undefined` at an upgrade. */
  readonly res: ServerResponse | undefined
  readonly context: RequestContext
  /** The path that the middleware is mounted on. Later, `context.baseUrl` may be the path of a router. */
  readonly base: string
  /** `EndedSessions.serial` when the request arrived. */
  readonly endedSerial: number
  /** The framework session's id when the request arrived. */
  readonly #arrivedWith: unknown
  /** Whether a page has sent the request, to say that it is open. */
  isHeartbeat = false

  constructor(
    req: IncomingMessage,
    res: ServerResponse | undefined,
    context: RequestContext,
    endedSerial: number,
  ) {
    this.req = req
    this.res = res
    this.context = context
    this.base = context.baseUrl ?? ''
    this.endedSerial = endedSerial
    this.#arrivedWith = context.sessionID
  }

  /** The current framework session, if there is one. */
  get session(): unknown {
    return this.context.session
  }

  /** The framework session's id. */
  get sessionID(): unknown {
    return this.context.sessionID
  }

  /** Whether the request has another framework session than when it arrived, after a login. */
  get hasNewSession(): boolean {
    return this.sessionID !== this.#arrivedWith
  }

  /** Whether the framework trusts the headers of the proxy that sent the request. */
  get trustsProxy(): boolean {
    const { context, req } = this
    if (context.trustsProxy !== undefined) return context.trustsProxy
    // The function that Express compiles its setting `trust proxy` to.
    const trusts = (req as FrameworkRequest).app?.get?.('trust proxy fn')
    return typeof trusts === 'function' && trusts(req.socket.remoteAddress, 0) === true
  }

  /** The internals of koa-session. Never read from a request of Express, which is its own context. */
  get koaSession(): KoaSession | undefined {
    return this.context === this.req ? undefined : this.context.koaSession
  }
}
