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
  'gradio-state/koa': ['koa'],
  'gradio-state/redis': ['redis'],
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

/** The packages whose types the types of an entry need; but for Koa's, which who has Koa has, they are dependencies. */
const typesOf = {
  'index.d.ts': ['multer'],
  'http/koa.d.ts': ['koa'],
  'cluster/redis/index.d.ts': [],
  'client/index.d.ts': [],
  'testing/index.d.ts': [],
}

for (const [entry, names] of Object.entries(typesOf)) {
  test(`${entry} needs the types of ${names.join() || 'no other package'}`, () => {
    assert.deepEqual(packagesNamedFrom(entry), names)
  })
}

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

/** The packages that the declarations of an entry name, and those that it leads to. */
function packagesNamedFrom(entry: string): string[] {
  // A set takes in what is added while it is walked.
  const seen = new Set([join(root, 'dist/cjs', entry)])
  const packages = new Set<string>()
  for (const file of seen) {
    const { importedFiles, typeReferenceDirectives } = ts.preProcessFile(readFileSync(file, 'utf8'))
    for (const { fileName } of [...importedFiles, ...typeReferenceDirectives]) {
      if (fileName.startsWith('.')) seen.add(join(dirname(file), fileName.replace(/\.js$/, '.d.ts')))
      else if (!/^node(:|$)/.test(fileName)) packages.add(fileName)
    }
  }
  return [...packages].sort()
}
