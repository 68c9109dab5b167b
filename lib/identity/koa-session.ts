import type { ServerResponse } from 'node:http'
import { replaceMethod } from '../util/replace-method.js'
import { CarriedHost, type Carrying } from './custom-session.js'
import {
  canSetCookie,
  type Host,
  type KoaSession,
  type KoaSessionContent,
  type Marker,
  type RequestContext,
} from './host.js'
import { KoaStore } from './koa-store.js'
import type { CookieHost } from './own-cookie.js'
import { StoredHost, type StoredHostContext } from './stored-session.js'
import { changesUser } from './user.js'

/** What a request's host is made of, where koa-session has its session. */
export interface KoaHostParts {
  readonly koaSession: KoaSession
  /** `ctx.session`. */
  readonly session: object
  readonly res: ServerResponse | undefined
  readonly context: StoredHostContext
  readonly arrivedAt: number
  readonly ownCookie: CookieHost
  readonly carrying: Carrying
}

/** The session of koa-session, of either kind. */
export function koaSessionHost(parts: KoaHostParts): Host {
  const { koaSession, session, res, context, arrivedAt, ownCookie, carrying } = parts
  const { externalKey } = koaSession
  if (externalKey !== undefined) return new KoaSessionHost(externalKey, koaSession, res, context, arrivedAt)
  carrying.isProven = true
  return new KoaCookieHost(session, res, ownCookie, carrying, koaSession)
}

/** The session of koa-session in an external store. */
class KoaSessionHost extends StoredHost {
  readonly #koaSession: KoaSession
  readonly #res: ServerResponse | undefined

  constructor(
    id: string,
    koaSession: KoaSession,
    res: ServerResponse | undefined,
    context: StoredHostContext,
    arrivedAt: number,
  ) {
    super(id, context, arrivedAt)
    this.#koaSession = koaSession
    this.#res = res
  }

  /** koa-session saves and sets its cookie when the app's middleware has returned, which is too late for a stream. */
  override async persist(): Promise<void> {
    if (this.isUnsaved) await commitNow(this.#koaSession)
    this.isUnsaved = false
  }

  announce(): Promise<void> {
    return this.persist()
  }

  renew(): Promise<void> {
    return commitNow(this.#koaSession)
  }

  protected get marker(): Marker {
    return this.#content
  }

  get store(): KoaStore | undefined {
    return storeOf(this.#koaSession)
  }

  isStored(): boolean {
    return !this.#content.isNew
  }

  expires(): number | undefined {
    return this.#content._expire
  }

  protected canTell(): boolean {
    return canSetCookie(this.#res)
  }

  get #content(): KoaSessionContent {
    return this.#koaSession.session as KoaSessionContent
  }
}

/** The session of koa-session in the cookie. */
class KoaCookieHost extends CarriedHost {
  readonly #koaSession: KoaSession
  #isUnsaved = false

  constructor(...[session, res, cookie, carrying, koaSession]: [...CarriedParts, KoaSession]) {
    super(session, res, cookie, carrying)
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

  announce(): Promise<void> {
    return this.persist()
  }

  renew(): Promise<void> {
    return commitNow(this.#koaSession)
  }
}

type CarriedParts = ConstructorParameters<typeof CarriedHost>

/** Why a host session was given up. */
type GivenUp = 'destroyed' | 'regenerated'

/** Where a request's session stands, and what is to be done about it. */
export interface Supervision {
  readonly context: RequestContext
  readonly onRegenerate: 'end' | 'keep'
  /** Gives what ends the session that the request belongs to by now. */
  ending(): (reason: GivenUp) => void
}

/**
 * Hears what koa-session does at a request's commits: `ctx.session = null` is a logout, `regenerate()` a login, and nothing else
 * tells of them where the session is in the cookie.
 * @returns lets no commit happen any more, for an answer that koa-session has no part in
 */
export function superviseCommits(
  koaSession: KoaSession,
  { context, onRegenerate, ending }: Supervision,
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

  async function regenerate(commit: () => Promise<void>, end: (reason: GivenUp) => void): Promise<void> {
    const keeps = onRegenerate === 'keep' && !changesUser(context)
    const { session } = koaSession
    // The content stays, but the token in it leads to the one before.
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

/** The store, unless it is made anew for each request: then nobody else can ask it. */
function storeOf({ opts, store }: KoaSession): KoaStore | undefined {
  return store === undefined || opts.ContextStore !== undefined ? undefined : KoaStore.of(store)
}

const committed = new WeakMap<KoaSession, string>()

/** Commits before koa-session does. */
async function commitNow(koaSession: KoaSession): Promise<void> {
  await koaSession.commit()
  committed.set(koaSession, contentOf(koaSession))
}

/** Whether nothing has changed since: koa-session compares with what came, and would save it all once more. */
function isCommitted(koaSession: KoaSession): boolean {
  return committed.get(koaSession) === contentOf(koaSession)
}

function contentOf({ session }: KoaSession): string {
  return session ? JSON.stringify(session.toJSON()) : ''
}
