import type { TestContext } from 'node:test'
import type { ErrorRequestHandler, Express } from 'express'
import type { GradioState, GradioStateOptions } from '../../../lib/index.ts'
import type { Visitor } from '../../../lib/testing/index.ts'
import { type ExpressModule, type Site, site } from '../http/express.ts'
import { scratch } from './disk.ts'

export interface UploadSite extends Site {
  readonly cacheDir: string
  /** What multer set on the requests whose upload succeeded. */
  readonly received: Express.Multer.File[][]
  /** The errors that reached the app's error handler. */
  readonly failures: unknown[]
  /** A user whose session has started. */
  newUser(): Promise<{ user: Visitor; id: string }>
}

/** An app whose `/upload` accepts files in the field `files`. */
export async function uploadSite(
  t: TestContext,
  express: ExpressModule,
  options: GradioStateOptions = {},
  routes: (app: Express, gradio: GradioState) => void = () => {},
): Promise<UploadSite> {
  const cacheDir = options.cacheDir ?? scratch(t)
  const received: Express.Multer.File[][] = []
  const failures: unknown[] = []
  const tellErrors: ErrorRequestHandler = (error, _req, res, _next) => {
    failures.push(error)
    const { name, code, message } = error
    res.status(error.status ?? 500).json({ name, code, message })
  }
  const made = await site(t, express, {
    options: { ...options, cacheDir },
    routes(app, gradio) {
      app.get('/id', (req, res) => res.json(req.gradioState.id))
      app.post('/upload', gradio.upload.array('files'), (req, res) => {
        const files = req.files as Express.Multer.File[]
        received.push(files)
        res.json(files)
      })
      routes(app, gradio)
      app.use(tellErrors)
    },
  })
  return {
    ...made,
    cacheDir,
    received,
    failures,
    async newUser() {
      const user = made.visitor()
      const id = (await (await user.fetch('/id')).json()) as string
      return { user, id }
    },
  }
}
