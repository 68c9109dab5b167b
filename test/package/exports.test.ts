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
  'gradio-state/metrics': ['metrics'],
  'gradio-state/client': ['connect'],
  'gradio-state/testing': ['fakeClock', 'visitor'],
}

for (const [entry, names] of Object.entries(entries)) {
  test(`${entry} exports exactly ${names.join(', ')}`, async () => {
    assert.deepEqual(Object.keys(await import(entry)).sort(), names)
    assert.deepEqual(Object.keys(require(entry)).sort(), names)
  })
}

test('every entry is in this snapshot', () => {
  const { name, exports } = require('gradio-state/package.json')
  const known = [...Object.keys(entries), 'gradio-state/package.json']
  assert.deepEqual(
    Object.keys(exports).map(path => path.replace('.', name)),
    known,
  )
})

/** The packages whose types are needed by the types of an entry: dependencies, and what the users of the entry have. */
const typesOf = {
  'index.d.ts': ['multer'],
  'http/koa.d.ts': ['koa'],
  'cluster/redis/index.d.ts': [],
  'metrics/index.d.ts': ['@opentelemetry/api'],
  'client/index.d.ts': [],
  'testing/index.d.ts': [],
}

for (const [entry, names] of Object.entries(typesOf)) {
  test(`${entry} needs the types of ${names.join() || 'no other package'}`, () => {
    assert.deepEqual(packagesNamedFrom(entry), names)
  })
}

/** The paths of the files that `npm publish` would publish. */
const packed = packedFiles()

test('a resolver that does not support "exports" finds every entry', () => {
  for (const folder of ['', ...subpaths()]) {
    const { main, types } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    const { require: target } =
      require('gradio-state/package.json').exports[folder === '' ? '.' : `./${folder}`]
    assert.equal(join(folder, main), join(target.default))
    assert.equal(join(folder, types), join(target.types))
    assert.ok(packed.includes(join(folder, main)) && packed.includes(join(folder, types)), folder)
  }
})

test('every source map has its source', () => {
  const maps = packed.filter(path => path.endsWith('.map'))
  assert.ok(maps.length > 0)
  for (const path of maps) {
    const { sources, sourcesContent } = JSON.parse(readFileSync(join(root, path), 'utf8'))
    const [source] = sources.map((source: string) => join(root, dirname(path), source))
    assert.equal(sources.length, 1, path)
    assert.ok(
      sourcesContent[0] === readFileSync(source, 'utf8'),
      `${path} is not of ${source} as it is: npm run build`,
    )
  }
})

function packedFiles(): string[] {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
  })
  const [{ files }] = JSON.parse(output) as [{ files: { path: string }[] }]
  return files.map(file => file.path)
}

/** The entries below the package's name. */
function subpaths(): string[] {
  return Object.keys(entries)
    .filter(entry => entry.includes('/'))
    .map(entry => entry.replace('gradio-state/', ''))
}

/** The packages that the declarations of an entry import, directly or indirectly. */
function packagesNamedFrom(entry: string): string[] {
  // A set includes items that are added while it is iterated.
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
