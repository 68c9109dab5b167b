import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { root } from '../support/package/files.ts'
import { PAGES, SURROUNDINGS, snippetsOf } from '../support/package/snippets.ts'

// Compiles each block of TypeScript in the README and the guides against the built package, as strictly as the library itself.
// `npm run test:types` does it with other versions of TypeScript and Express.

const snippets = PAGES.flatMap(snippetsOf)
const sources = new Map(
  [...SURROUNDINGS, ...snippets].map(([name, text]) => [join(root, 'test/package', name), text]),
)

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
  assert.ok(snippets.length >= 10, 'the blocks were found')
  const program = ts.createProgram([...sources.keys()], options, host)
  const wrong = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file && file.getLineAndCharacterOfPosition(start).line + 1
    return `${file?.fileName.replace(root, '')}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
  assert.deepEqual(wrong, [])
})
