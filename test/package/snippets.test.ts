import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { filesBelow, read, root } from '../support/package/files.ts'

// Compiles each block of TypeScript in the README and the guides against the built package, as strictly as the library itself. The
// blocks of docs/api.md are generated from the library's own types.

const pages = [
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

declare global {
  interface Picture { png: Buffer }
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
  function directoryOf(id: string): string
  function generate(options: { signal: AbortSignal }): Promise<Picture>
  const fileFilter: import('multer').Options['fileFilter']
}
`

/** The part of a router for Koa that the documents use. */
const KOA_ROUTER = `
import type { Context, Next } from 'koa'
export type Handler = (ctx: Context & { files: Express.Multer.File[] }, next: Next) => unknown
export interface Router {
  post(path: string, ...handlers: Handler[]): void
}
`

/** @koa/multer has no types of its own. */
const KOA_MULTER = `
declare module '@koa/multer' {
  export default function multer(options: import('multer').Options): {
    array(field: string): (ctx: import('koa').Context, next: import('koa').Next) => Promise<void>
  }
}
`

const sources = new Map([
  [join(root, 'test/package/prelude.ts'), PRELUDE],
  [join(root, 'test/package/koa-router.ts'), KOA_ROUTER],
  [join(root, 'test/package/koa-multer.d.ts'), KOA_MULTER],
])
const snippets = new Map(pages.flatMap(page => blocksOf(page)))
for (const [name, text] of snippets) sources.set(name, text)

test('every block of TypeScript in the documents compiles', () => {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    esModuleInterop: true,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node', 'express', 'multer'],
  }
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = file => sources.has(file) || fileExists(file)
  host.readFile = file => sources.get(file) ?? readFile(file)
  host.getSourceFile = (file, ...rest) => {
    const text = sources.get(file)
    return text === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, text, rest[0])
  }
  assert.ok(snippets.size >= 10, 'the blocks were found')
  const program = ts.createProgram([...sources.keys()], options, host)
  const wrong = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file && file.getLineAndCharacterOfPosition(start).line + 1
    return `${file?.fileName.replace(root, '')}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
  assert.deepEqual(wrong, [])
})

/** The blocks of a page, each as a separate module in the folder of this test. */
function blocksOf(page: string): [name: string, text: string][] {
  const blocks = read(page).matchAll(/^```ts\n(.*?)^```/gms)
  return [...blocks].map(([, text], index) => [
    join(root, 'test/package', `${page.replaceAll(/[/.]/g, '-')}-${index + 1}.ts`),
    `${text}\nexport {}\n`,
  ])
}
