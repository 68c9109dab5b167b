import type { TestContext } from 'node:test'
import type { RequestHandler } from 'express'
import type { SessionOptions } from 'express-session'
import type { CachedFile, GradioStateOptions } from '../../../lib/index.ts'
import type { Visitor } from '../../../lib/testing/index.ts'
import { type ExpressModule, json, site } from '../http/express.ts'
import { scratch } from './disk.ts'

export const DIGITS = '0123456789'

export interface Setting {
  options?: GradioStateOptions
  session?: Partial<SessionOptions> | false
  before?: RequestHandler[]
}

/** An app that saves the bodies that it receives. */
export async function saveSite(
  t: TestContext,
  express: ExpressModule,
  { options, ...setting }: Setting = {},
) {
  const cacheDir = scratch(t)
  const made = await site(t, express, {
    session: false,
    ...setting,
    options: { cacheDir, ...options },
    routes(app) {
      app.post('/save/:name', express.raw({ type: () => true, limit: '50mb' }), async (req, res, next) => {
        const content = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0)
        const name = decodeURIComponent(req.params.name as string)
        req.gradioState.saveFile(content, { name }).then(file => res.json(file), next)
      })
    },
  })
  return { ...made, cacheDir }
}

export async function save(user: Visitor, name = 'digits.txt', body: BodyInit = DIGITS): Promise<CachedFile> {
  const path = `/save/${encodeURIComponent(encodeURIComponent(name))}`
  return (await json<CachedFile>(user.fetch(path, { method: 'POST', body }))).body
}

/** As a browser checks whether its copy is current; by default, `fetch` would say that it wants no cached copy. */
export const ifNoneMatch = (tag: string) => ({ 'if-none-match': tag, 'cache-control': 'max-age=0' })
