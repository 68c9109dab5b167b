import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { koa } from 'gradio-state/koa'
import Koa, { type Middleware } from 'koa'
import session from 'koa-session'
import type { Demo } from './demo.ts'
import { explain } from './errors.ts'
import { pageHeaders, publicDir } from './page.ts'
import { memoryStore } from './sessions.ts'
import type { Settings } from './settings.ts'
import { type Uploaded, uploadPictures } from './uploads.ts'

/** The demo on Koa. */
export function createKoaApp(demo: Demo, { maxFileSize, sessionSecret }: Settings): Koa {
  const app = new Koa()
  app.keys = [sessionSecret]
  // Koa tells of every connection that breaks; a user who leaves is no error.
  app.on('error', error => {
    if (!/^(ECONNRESET|EPIPE|HPE_)/.test(error.code)) console.error(error)
  })
  // Multer is a middleware of Connect: it takes the requests of Node.js.
  const receivePictures = promisify(uploadPictures(demo.gradio)) as (
    req: object,
    res: object,
  ) => Promise<void>

  app.use(sayWhatWentWrong(maxFileSize))
  app.use((ctx, next) => {
    ctx.set(pageHeaders)
    return next()
  })
  app.use(session({ store: memoryStore(), renew: true, sameSite: 'lax' }, app))
  // Before the page, so that a reload is known to be one from its first byte.
  app.use(koa(demo.gradio))
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
        await demo.addUploads(ctx.gradioState, (ctx.req as { files?: Uploaded }).files)
        break
      case 'GET /held':
        break
      default:
        return next()
    }
    ctx.set('Cache-Control', 'no-store')
    ctx.body = await demo.held(ctx.gradioState)
  })

  app.use(ctx => {
    const [, name] = /^\/pictures\/([^/]+)$/.exec(ctx.path) ?? []
    if (name === undefined) return
    // Found in the caller's own history alone; kept by no cache, as it must be gone when it is deleted.
    const picture = demo.find(ctx.gradioState, name)
    ctx.set('Cache-Control', 'private, no-store')
    if (picture === undefined) return
    ctx.type = 'webp'
    ctx.body = picture.webp
  })

  return app
}

/** The files of the page, and nothing else that is on the disk. */
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

function sayWhatWentWrong(maxFileSize: string): Middleware {
  return async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      if (ctx.headerSent) throw error
      // Whoever closed the page, or gave an upload up, waits for no answer.
      if (ctx.req.destroyed && !ctx.req.complete) return void ctx.res.destroy()
      const failure = error as Error & { code?: string }
      const [status, sentence] = explain(failure, maxFileSize)
      if (status === 500) console.error(error)
      ctx.status = status
      ctx.body = { error: sentence, code: failure.code }
    }
  }
}
