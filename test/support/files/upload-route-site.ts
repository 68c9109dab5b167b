import { basename } from 'node:path'
import type { TestContext } from 'node:test'
import type { ErrorRequestHandler } from 'express'
import type { SessionOptions } from 'express-session'
import type { GradioStateOptions } from '../../../lib/index.ts'
import type { Visitor } from '../../../lib/testing/index.ts'
import { type ExpressModule, site } from '../http/express.ts'
import { filesBelow, scratch } from './disk.ts'

export interface Setting {
  options?: GradioStateOptions
  session?: Partial<SessionOptions> | false
}

export interface StoredUpload {
  url: string
  name: string
  size: number
  sha256: string
  mimeType: string
}

export interface Refused {
  error: { code: string; message: string }
}

/** An app with the upload route, and what reached its own routes and error handlers. */
export async function uploadRouteSite(
  t: TestContext,
  express: ExpressModule,
  { options, ...setting }: Setting = {},
) {
  const cacheDir = scratch(t)
  const passedOn: string[] = []
  const errors: unknown[] = []
  const made = await site(t, express, {
    session: false,
    ...setting,
    options: { cacheDir, uploadRoute: true, ...options },
    routes(app) {
      app.get('/id', (req, res) => res.json({ id: req.gradioState.id }))
      app.use((req, res) => {
        passedOn.push(`${req.method} ${req.path}`)
        res.status(404).send('Not ours')
      })
      const note: ErrorRequestHandler = (error, _req, res, _next) => {
        errors.push(error)
        res.status(500).end()
      }
      app.use(note)
    },
  })
  /** The files in the cache, complete or not. */
  const onDisk = () => filesBelow(cacheDir).map(path => basename(path))
  return { ...made, cacheDir, passedOn, errors, onDisk }
}

/** Sends files with these names and contents. */
export function upload(
  user: Visitor,
  files: Record<string, BlobPart>,
  { field = 'files', path = '/gradio_api/upload', headers = {} as Record<string, string> } = {},
): Promise<Response> {
  const body = new FormData()
  for (const [name, content] of Object.entries(files)) body.append(field, new Blob([content]), name)
  return user.fetch(path, { method: 'POST', body, headers })
}
