import { fileURLToPath } from 'node:url'
import express, { type ErrorRequestHandler, type Express } from 'express'
import session from 'express-session'
import type { Demo } from './demo.ts'
import type { Settings } from './settings.ts'
import { NotAPicture, uploadPictures } from './uploads.ts'

const publicDir = fileURLToPath(new URL('./public', import.meta.url))

/** The demo on Express. */
export function createApp(demo: Demo, { maxFileSize, sessionSecret }: Settings): Express {
  const app = express()
  app.disable('x-powered-by')

  app.use((_req, res, next) => {
    res.set({ 'Content-Security-Policy': `default-src 'self'`, 'X-Content-Type-Options': 'nosniff' })
    next()
  })
  app.use(
    session({
      secret: sessionSecret,
      resave: false,
      saveUninitialized: false,
      cookie: { sameSite: 'lax' },
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

function explain(error: Error & { status?: number; code?: string }, maxFileSize: string): [number, string] {
  if (error.name === 'AbortError') return [409, 'The page was closed before its picture was made.']
  if (error instanceof NotAPicture) return [error.status, error.message]
  if (error.name === 'MulterError') return [400, 'At most 20 pictures can be uploaded at once.']
  if (error.code === 'FILE_TOO_LARGE') return [413, `A picture may have ${maxFileSize} at most.`]
  // The errors of gradio-state come with the status to answer: 503 where it is full, or closing down.
  const { status = 500 } = error
  const isFull = [413, 503, 507].includes(status)
  return [status, isFull ? 'The server has no room just now.' : 'Something went wrong.']
}
