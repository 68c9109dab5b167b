import { filesBelow, read } from './files.ts'

/** The pages whose blocks of TypeScript compile. Those of docs/api.md are generated from the library's own types. */
export const PAGES = [
  'README.md',
  ...filesBelow('docs', '.md')
    .filter(file => file !== 'api.md')
    .map(file => `docs/${file}`),
]

/** What a reader's app already contains. A block that defines one of these uses its own. */
const PRELUDE = `
import type { Express } from 'express'
import type { Router } from './koa-router.js'
import type { GradioState as Instance, SharedState } from 'gradio-state'

declare module 'express-session' {
  interface SessionData { user: User }
}
declare global {
  interface Picture { png: Buffer }
  interface User { name: string; admin: boolean }
  const app: Express
  const router: Router
  const gradio: Instance
  const gradioState: typeof import('gradio-state').gradioState
  const session: typeof import('express-session')
  const multer: typeof import('multer')
  const store: import('express-session').Store
  const secret: string
  const png: Buffer
  const req: import('express').Request
  const res: import('express').Response
  function rm(path: string, options: object): Promise<void>
  function findUser(form: unknown): Promise<User | undefined>
  function generate(options: { signal: AbortSignal }): Promise<Picture>
  const fileFilter: NonNullable<import('multer').Options['fileFilter']>
}
`

/** The part of a router for Koa that the documents use. */
const KOA_ROUTER = `
import type { Middleware } from 'koa'
export interface Router {
  post(path: string, ...handlers: Middleware[]): void
  all(path: string, handler: Middleware): void
}
`

/** The modules that the blocks need, by name. */
export const SURROUNDINGS = new Map([
  ['prelude.ts', PRELUDE],
  ['koa-router.ts', KOA_ROUTER],
])

/** The blocks of TypeScript of a page, each as a separate module: names and texts. The quick start of the README is TypeScript, too. */
export function snippetsOf(page: string): [name: string, text: string][] {
  const blocks = read(page).matchAll(
    page === 'README.md' ? /^```[tj]s\n(.*?)^```/gms : /^```ts\n(.*?)^```/gms,
  )
  return [...blocks].map(([, text], index) => [
    `${page.replaceAll(/[/.]/g, '-')}-${index + 1}.ts`,
    `${text}\nexport {}\n`,
  ])
}
