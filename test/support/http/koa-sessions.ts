import expressSession, { type SessionOptions } from 'express-session'
import type Koa from 'koa'
import type { Middleware } from 'koa'
import genericSession, { type SessionStore } from 'koa-generic-session'
import koaSession, { type CreateSessionOptions } from 'koa-session'
import type { GradioStateOptions } from '../../../lib/index.ts'
import { KoaStore } from '../stores/koa-store.ts'
import { sessionDefaults } from './express.ts'

/** How an app on Koa stores its sessions. */
export interface KoaSessionSetup {
  /** The options of `gradioState()` for it. */
  readonly options?: GradioStateOptions
  /** The names of its cookies, sorted. */
  readonly cookies: readonly string[]
  use(app: Koa): void
}

/** koa-session with an external store. */
export function inStore(
  options: CreateSessionOptions = {},
  store = new KoaStore(),
): KoaSessionSetup & { store: KoaStore } {
  return { ...inCookie({ ...options, store }), store }
}

/** koa-session with a store that is created for each request. */
export function inContextStore(options: CreateSessionOptions = {}): KoaSessionSetup {
  const store = new KoaStore()
  class ContextStore {
    get(...given: Parameters<KoaStore['get']>) {
      return store.get(...given)
    }
    set(...given: Parameters<KoaStore['set']>) {
      return store.set(...given)
    }
    destroy(...given: Parameters<KoaStore['destroy']>) {
      return store.destroy(...given)
    }
  }
  return inCookie({ ...options, ContextStore })
}

/** koa-session in the cookie. */
export function inCookie(options: CreateSessionOptions = {}): KoaSessionSetup {
  return {
    cookies: ['koa.sess', 'koa.sess.sig'],
    // It modifies its options object.
    use: app => app.use(koaSession({ ...options }, app)),
  }
}

/** No session: the library's own cookie. */
export const noSession: KoaSessionSetup = { cookies: ['gradio_state'], use: () => {} }

/** koa-generic-session, whose `ctx.sessionId` the app passes to `identify`. */
export function generic(): KoaSessionSetup {
  const showId: Middleware = async (ctx, next) => {
    // The library's own responses are sent before koa-generic-session would set its cookie.
    if (ctx.path.startsWith('/gradio_api/') && ctx.cookies.get('koa.sid') !== ctx.sessionId) {
      await ctx.saveSession()
      ctx.sessionSave = false
    }
    Object.assign(ctx.req, { frameworkSessionId: ctx.sessionId })
    await next()
  }
  return {
    options: { identify: req => (req as { frameworkSessionId?: string }).frameworkSessionId },
    cookies: ['koa.sid', 'koa.sid.sig'],
    use(app) {
      const store = new KoaStore() as unknown as SessionStore
      // It doesn't store empty sessions.
      app.use(genericSession({ allowEmpty: true, store })).use(showId)
    },
  }
}

/** express-session, whose middleware only needs to be wrapped in a promise. */
export function viaConnect(options: Partial<SessionOptions> = {}): KoaSessionSetup {
  return {
    cookies: ['connect.sid'],
    use(app) {
      const session = expressSession(sessionDefaults(options)) as unknown as ConnectMiddleware
      app.use(async (ctx, next) => {
        await new Promise<void>((resolve, reject) => {
          session(ctx.req, ctx.res, error => (error ? reject(error) : resolve()))
        })
        await next()
      })
    },
  }
}

/** All kinds of sessions that the library supports on Koa. */
export const KOA_SESSIONS: Readonly<Record<string, () => KoaSessionSetup>> = {
  'koa-session in an external store': inStore,
  'koa-session in a ContextStore': inContextStore,
  'koa-session in the cookie': inCookie,
  'no session': () => noSession,
  'koa-generic-session by identify': generic,
  'express-session': viaConnect,
}

type ConnectMiddleware = (
  req: Koa.Context['req'],
  res: Koa.Context['res'],
  next: (error?: unknown) => void,
) => void
