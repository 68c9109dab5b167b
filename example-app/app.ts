import express, { type ErrorRequestHandler, type Express } from 'express'
import session, { type Store } from 'express-session'
import type { Actions } from './actions.ts'
import { explain } from './errors.ts'
import { isLoopback } from './loopback.ts'
import { pageHeaders, publicDir } from './page.ts'
import type { Settings } from './settings.ts'
import { uploadPictures } from './uploads.ts'

/**
 * The demo on Express.
 * @param store of express-session. Default: in memory
 */
export function createApp(demo: Actions, { maxFileSize, sessionSecret }: Settings, store?: Store): Express {
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
  // Before the static files, so that the library sees the navigation of a reload.
  app.use(demo.gradio)
  app.use('/sessions', demo.gradio.inspector({ authorize: isLoopback }))
  app.use(express.static(publicDir))

  app.post('/start', async (req, res) => {
    await demo.start(req.gradioState)
    res.json(await demo.summary(req.gradioState))
  })

  app.post('/generate', async (req, res) => {
    await demo.generate(req.gradioState)
    res.json(await demo.summary(req.gradioState))
  })

  app.post('/pictures', uploadPictures(demo.gradio), async (req, res) => {
    await demo.addUploads(req.gradioState, demo.gradio.filesOf(req))
    res.json(await demo.summary(req.gradioState))
  })

  app.get('/summary', async (req, res) => {
    res.set('Cache-Control', 'no-store').json(await demo.summary(req.gradioState))
  })

  app.get('/reports/:session', async (req, res) => {
    res.set('Cache-Control', 'no-store').json(await demo.reportsOf(req.params.session))
  })

  app.get('/pictures/:name', (req, res) => {
    // Only the caller's own history is searched. Not cached, since a deleted picture must not be shown.
    const picture = demo.find(req.gradioState, req.params.name)
    res.set('Cache-Control', 'private, no-store')
    if (picture) res.type('webp').send(picture.webp)
    else res.sendStatus(404)
  })

  app.use(respondToErrors(maxFileSize))
  return app
}

/** Responds with a message for the user, and a code for developers. */
function respondToErrors(maxFileSize: string): ErrorRequestHandler {
  return (error, req, res, next) => {
    if (res.headersSent) return next(error)
    // The page was closed or the upload cancelled, so nobody waits for a response.
    if (req.destroyed && !req.complete) return res.destroy()
    const [status, message] = explain(error, maxFileSize)
    if (status === 500) console.error(error)
    res.status(status).json({ error: message, code: error.code })
  }
}
