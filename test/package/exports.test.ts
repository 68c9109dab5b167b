import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const require = createRequire(import.meta.url)

const entries = {
  'gradio-state': ['GradioStateError', 'gradioState'],
  'gradio-state/client': ['connect'],
  'gradio-state/testing': ['fakeClock', 'visitor'],
}

for (const [entry, names] of Object.entries(entries)) {
  test(`${entry} exports exactly ${names.join(', ')}`, async () => {
    assert.deepEqual(Object.keys(await import(entry)).sort(), names)
    assert.deepEqual(Object.keys(require(entry)).sort(), names)
  })
}

test('every entry is under this snapshot', () => {
  const { name, exports } = require('gradio-state/package.json')
  const known = [...Object.keys(entries), 'gradio-state/package.json']
  assert.deepEqual(
    Object.keys(exports).map(path => path.replace('.', name)),
    known,
  )
})

test("the types need no other package's types but multer's, which are a dependency", () => {
  const entries = ['index.d.ts', 'client/index.d.ts', 'testing/index.d.ts']
  const queue = ['esm', 'cjs'].flatMap(format => entries.map(entry => join(root, 'dist', format, entry)))
  // A set takes in what is added while it is walked.
  const seen = new Set(queue)
  for (const file of seen) {
    const { importedFiles, typeReferenceDirectives } = ts.preProcessFile(readFileSync(file, 'utf8'))
    const named = [...importedFiles, ...typeReferenceDirectives].map(({ fileName }) => fileName)
    const foreign = named.filter(name => !/^(\.|node:|node$|multer$)/.test(name))
    assert.deepEqual(foreign, [], file)
    for (const name of named) {
      if (name.startsWith('.')) seen.add(join(dirname(file), name.replace(/\.js$/, '.d.ts')))
    }
  }
})

test('the tarball holds the build and the four files of every package, in less than 100 kB', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
  })
  const [{ files, size }] = JSON.parse(output) as [{ files: { path: string }[]; size: number }]
  const paths = files.map(file => file.path)
  const isBuilt = (path: string): boolean => /^dist\/(esm|cjs)\/(.+\.(js|d\.ts)|package\.json)$/.test(path)
  const rest = paths.filter(path => !isBuilt(path))

  assert.ok(paths.includes('dist/esm/index.js'), 'the package is built')
  assert.deepEqual(rest.sort(), ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'])
  assert.ok(size < 100_000, `${size} bytes`)
})
