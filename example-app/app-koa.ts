import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { koa } from 'gradio-state/koa'
import Koa, { type Middleware } from 'koa'
import session from 'koa-session'
import type { Actions } from './actions.ts'
import { explain } from './errors.ts'
import { isLoopback } from './loopback.ts'
import { pageHeaders, publicDir } from './page.ts'
import { memoryStore } from './sessions.ts'
import type { Settings } from './settings.ts'
import { uploadPictures } from './uploads.ts'

/** The demo on Koa. */
export function createKoaApp(demo: Actions, { maxFileSize, sessionSecret }: Settings): Koa {
  const app = new Koa()
  app.keys = [sessionSecret]
  // Koa reports every broken connection. A user who leaves is not an error.
  app.on('error', error => {
    if (!/^(ECONNRESET|EPIPE|HPE_)/.test(error.code)) console.error(error)
  })
  // multer is a Connect middleware and takes the request objects of Node.js.
  const receivePictures = promisify(uploadPictures(demo.gradio)) as (
    req: object,
    res: object,
  ) => Promise<void>

  app.use(respondToErrors(maxFileSize))
  app.use((ctx, next) => {
    ctx.set(pageHeaders)
    return next()
  })
  app.use(session({ store: memoryStore(), renew: true, sameSite: 'lax' }, app))
  // Before the static files, so that the library sees the navigation of a reload.
  app.use(koa(demo.gradio))
  const inspector = koa(demo.gradio.inspector({ authorize: isLoopback }))
  app.use((ctx, next) => (ctx.path === '/sessions' ? inspector(ctx, next) : next()))
  app.use(servePage())

  app.use(async (ctx, next) => {
    switch (`${ctx.method} ${ctx.path}`) {
      case 'POST /start':
        await demo.start(ctx.gradioState)
        break
      case 'POST /generate':
        await demo.generate(ctx.gradioState)
        break
      case 'POST /pictures':
        await receivePictures(ctx.req, ctx.res)
        await demo.addUploads(ctx.gradioState, demo.gradio.filesOf(ctx.req))
        break
      case 'GET /summary':
        break
      default:
        return next()
    }
    ctx.set('Cache-Control', 'no-store')
    ctx.body = await demo.summary(ctx.gradioState)
  })

  app.use(async (ctx, next) => {
    const [, session] = /^\/reports\/([^/]+)$/.exec(ctx.path) ?? []
    if (session === undefined) return next()
    ctx.set('Cache-Control', 'no-store')
    ctx.body = await demo.reportsOf(session)
  })

  app.use(ctx => {
    const [, name] = /^\/pictures\/([^/]+)$/.exec(ctx.path) ?? []
    if (name === undefined) return
    // Only the caller's own history is searched. Not cached, since a deleted picture must not be shown.
    const picture = demo.find(ctx.gradioState, name)
    ctx.set('Cache-Control', 'private, no-store')
    if (picture === undefined) return
    ctx.type = 'webp'
    ctx.body = picture.webp
  })

  return app
}

/** Serves the files of the page, and nothing else. */
function servePage(): Middleware {
  const files = new Map(readdirSync(publicDir).map(name => [`/${name}`, path.join(publicDir, name)]))
  const index = path.join(publicDir, 'index.html')
  return async (ctx, next) => {
    const file = ctx.path === '/' ? index : files.get(ctx.path)
    if (file === undefined) return next()
    ctx.set('Cache-Control', 'no-cache')
    ctx.type = path.extname(file)
    ctx.body = await readFile(file)
  }
}

/** Responds with a message for the user, and a code for developers. */
function respondToErrors(maxFileSize: string): Middleware {
  return async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      if (ctx.headerSent) throw error
      // The page was closed or the upload cancelled, so nobody waits for a response.
      if (ctx.req.destroyed && !ctx.req.complete) return void ctx.res.destroy()
      const failure = error as Error & { code?: string }
      const [status, message] = explain(failure, maxFileSize)
      if (status === 500) console.error(error)
      ctx.status = status
      ctx.body = { error: message, code: failure.code }
    }
  }
}
