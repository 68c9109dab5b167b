import type { IncomingMessage, ServerResponse } from 'node:http'
import { parse } from 'cookie'
import { replaceMethod } from '../util/replace-method.js'
import { CustomSession, type CustomSessions } from './custom-session.js'
import { KoaStore } from './koa-store.js'
import type { OwnCookie } from './own-cookie.js'
import type { KoaSession, KoaSessionContent, RequestContext, SessionRequest } from './request-context.js'
import { StoredSession, type StoredSessionContext } from './stored-session.js'
import {
  canSetCookie,
  type MarkedSession,
  patternOf,
  type TokenCookie,
  type TokenStorage,
} from './token-storage.js'
import { changesUser } from './user-change.js'

/** The inputs of {@link koaSessionStorage}. */
export interface KoaSessionParts {
  readonly koaSession: KoaSession
  /** `ctx.session`. */
  readonly session: object
  readonly request: SessionRequest
  readonly context: StoredSessionContext
  readonly ownCookie: OwnCookie
  readonly customSessions: CustomSessions
}

/** The token storage for a session of koa-session, in a store or in the cookie. */
export function koaSessionStorage(parts: KoaSessionParts): TokenStorage {
  const { koaSession, session, request, context, ownCookie, customSessions } = parts
  const { externalKey } = koaSession
  if (externalKey !== undefined) return new KoaSessionInStore(externalKey, koaSession, request, context)
  customSessions.isProven = true
  return new KoaSessionInCookie(session, ownCookie, customSessions, koaSession)
}

/** A session of koa-session in an external store. */
class KoaSessionInStore extends StoredSession {
  readonly #koaSession: KoaSession
  readonly #req: IncomingMessage
  readonly #res: ServerResponse | undefined

  constructor(id: string, koaSession: KoaSession, request: SessionRequest, context: StoredSessionContext) {
    super(id, context, request.endedSerial)
    this.#koaSession = koaSession
    this.#req = request.req
    this.#res = request.res
  }

  /** koa-session saves and sets its cookie when the app's middleware has returned, which is too late for a streamed response. */
  override async persist(): Promise<void> {
    if (this.isUnsaved) await commitNow(this.#koaSession)
    this.isUnsaved = false
  }

  persistBeforeHeaders(): Promise<void> {
    return this.persist()
  }

  renew(): Promise<void> {
    return commitNow(this.#koaSession)
  }

  protected get marked(): MarkedSession {
    return this.#content
  }

  get store(): KoaStore | undefined {
    return storeOf(this.#koaSession)
  }

  isStored(): boolean {
    return !this.#content.isNew
  }

  protected get credential(): string | undefined {
    const { key } = this.#koaSession.opts
    return key === undefined ? undefined : parse(this.#req.headers.cookie ?? '')[key]
  }

  get cookie(): TokenCookie | undefined {
    const { key } = this.#koaSession.opts
    return key === undefined ? undefined : { pattern: patternOf(key), secure: undefined }
  }

  expires(): number | undefined {
    return this.#content._expire
  }

  protected canReachBrowser(): boolean {
    return canSetCookie(this.#res)
  }

  get #content(): KoaSessionContent {
    return this.#koaSession.session as KoaSessionContent
  }
}

/** A session of koa-session in the cookie. */
class KoaSessionInCookie extends CustomSession {
  readonly #koaSession: KoaSession
  #isUnsaved = false

  constructor(...[session, cookie, customSessions, koaSession]: [...CustomSessionArguments, KoaSession]) {
    super(session, cookie, customSessions)
    this.#koaSession = koaSession
  }

  override keep(token: string): void {
    this.#isUnsaved ||= this.find() !== token
    super.keep(token)
  }

  override async persist(): Promise<void> {
    if (this.#isUnsaved) await commitNow(this.#koaSession)
    this.#isUnsaved = false
  }

  persistBeforeHeaders(): Promise<void> {
    return this.persist()
  }

  renew(): Promise<void> {
    return commitNow(this.#koaSession)
  }
}

type CustomSessionArguments = ConstructorParameters<typeof CustomSession>

/** Why a commit ends the session. */
type CommitReason = 'destroyed' | 'regenerated'

/** The request whose commits are observed. */
export interface CommitObserver {
  readonly context: RequestContext
  readonly onRegenerate: 'end' | 'keep'
  /** Returns a function that ends the session that the request belongs to now. */
  ending(): (reason: CommitReason) => void
}

/**
 * Observes the commits of a request's koa-session: `ctx.session = null` is a logout, `regenerate()` a login. For a session in the
 * cookie nothing else indicates them.
 * @returns disables further commits, for a response that koa-session must not take part in
 */
export function observeCommits(
  koaSession: KoaSession,
  { context, onRegenerate, ending }: CommitObserver,
): () => void {
  replaceMethod(koaSession, 'commit', async (original, _self, [options]) => {
    const commit = async () => {
      await original.call(koaSession, options)
    }
    if (koaSession.session === false) {
      const end = ending()
      await commit()
      end('destroyed')
    } else if ((options as { regenerate?: boolean } | undefined)?.regenerate) {
      await regenerate(commit, ending())
    } else if (options !== undefined || !isCommitted(koaSession)) {
      await commit()
    }
  })

  async function regenerate(commit: () => Promise<void>, end: (reason: CommitReason) => void): Promise<void> {
    const keeps = onRegenerate === 'keep' && !changesUser(context)
    const { session } = koaSession
    // The app's content stays, but the token in it leads to the old session.
    if (!keeps && session) delete session.gradioState
    const store = storeOf(koaSession)
    if (store === undefined) await commit()
    else await store.regenerating(koaSession.ctx, context, commit)
    if (!keeps) end('regenerated')
  }

  return () => {
    replaceMethod(koaSession, 'commit', async () => {})
  }
}

/** The store, unless it is created for each request: then it can't be queried later. */
function storeOf({ opts, store }: KoaSession): KoaStore | undefined {
  return store === undefined || opts.ContextStore !== undefined ? undefined : KoaStore.of(store)
}

const committed = new WeakMap<KoaSession, string>()

/** Commits before koa-session itself does. */
async function commitNow(koaSession: KoaSession): Promise<void> {
  await koaSession.commit()
  committed.set(koaSession, contentOf(koaSession))
}

/** Whether the session is unchanged since {@link commitNow}. koa-session compares with what the request brought, and would save again. */
function isCommitted(koaSession: KoaSession): boolean {
  return committed.get(koaSession) === contentOf(koaSession)
}

function contentOf({ session }: KoaSession): string {
  return session ? JSON.stringify(session.toJSON()) : ''
}
