import express, { type ErrorRequestHandler, type Express } from 'express'
import session, { type Store } from 'express-session'
import type { Demo } from './demo.ts'
import { explain } from './errors.ts'
import { pageHeaders, publicDir } from './page.ts'
import type { Settings } from './settings.ts'
import { uploadPictures } from './uploads.ts'

/**
 * The demo on Express.
 * @param store where the sessions are kept; without one, in memory
 */
export function createApp(demo: Demo, { maxFileSize, sessionSecret }: Settings, store?: Store): Express {
  const app = express()
  app.disable('x-powered-by')

  app.use((_req, res, next) => {
    res.set(pageHeaders)
    next()
  })
  app.use(
    session({
      secret: sessionSecret,
      resave: false,
      saveUninitialized: false,
      cookie: { sameSite: 'lax' },
      ...(store && { store }),
    }),
  )
  // Before the page, so that a reload is known to be one from its first byte.
  app.use(demo.gradio)
  app.use(express.static(publicDir))

  app.post('/start', async (req, res) => {
    await demo.start(req.gradioState)
    res.json(await demo.held(req.gradioState))
  })

  app.post('/generate', async (req, res) => {
    await demo.generate(req.gradioState)
    res.json(await demo.held(req.gradioState))
  })

  app.post('/pictures', uploadPictures(demo.gradio), async (req, res) => {
    await demo.addUploads(req.gradioState, req.files)
    res.json(await demo.held(req.gradioState))
  })

  app.get('/held', async (req, res) => {
    res.set('Cache-Control', 'no-store').json(await demo.held(req.gradioState))
  })

  app.get('/pictures/:name', (req, res) => {
    // Found in the caller's own history alone; kept by no cache, as it must be gone when it is deleted.
    const picture = demo.find(req.gradioState, req.params.name)
    res.set('Cache-Control', 'private, no-store')
    if (picture) res.type('webp').send(picture.webp)
    else res.sendStatus(404)
  })

  app.use(sayWhatWentWrong(maxFileSize))
  return app
}

/** For a reader of the page; a developer reads the code. */
function sayWhatWentWrong(maxFileSize: string): ErrorRequestHandler {
  return (error, req, res, next) => {
    if (res.headersSent) return next(error)
    // Whoever closed the page, or gave an upload up, waits for no answer.
    if (req.destroyed && !req.complete) return res.destroy()
    const [status, sentence] = explain(error, maxFileSize)
    if (status === 500) console.error(error)
    res.status(status).json({ error: sentence, code: error.code })
  }
}
