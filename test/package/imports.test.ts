import assert from 'node:assert/strict'
import { dirname, posix } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { filesBelow, read } from '../support/package/files.ts'

// Checks the layers of the library: imports point one way, including those of types.

/**
 * The folders of lib, and the folders or files that each of them may import. `index` is index.ts and the types of the instance; `root` are
 * the other files next to them.
 */
const mayImport: Record<string, string[]> = {
  util: ['util'],
  root: ['root', 'util', 'sessions/cluster-option.ts', 'sessions/coordinator.ts'],
  sessions: ['root', 'util', 'sessions'],
  files: ['root', 'util', 'files'],
  cluster: ['root', 'util', 'sessions', 'cluster'],
  metrics: ['root', 'util', 'metrics'],
  identity: ['root', 'util', 'sessions', 'files', 'identity'],
  pages: ['root', 'util', 'sessions', 'pages'],
  http: ['root', 'util', 'sessions', 'files', 'identity', 'pages', 'http'],
  index: ['root', 'util', 'sessions', 'files', 'identity', 'pages', 'http', 'index'],
  testing: ['root', 'util', 'testing'],
  client: ['client'],
}

const imports = new Map(filesBelow('lib', '.ts').map(file => [file, importsOf(file)]))

test('every folder imports only from the folders below it', () => {
  const wrong = edges().filter(([file, target]) => {
    const allowed = mayImport[folderOf(file)]
    return !allowed?.includes(folderOf(target)) && !allowed?.includes(target)
  })
  assert.deepEqual(wrong, [])
})

test('sessions imports neither files nor HTTP nor a database', () => {
  const outside =
    /^(node:)?(http|https|http2|net|tls|fs)\b|^(cookie|express|koa|multer|on-headers|redis|send|ws)\b/
  const wrong = packages('sessions').filter(([, name]) => outside.test(name))
  assert.deepEqual(wrong, [])
})

test('client imports no package', () => {
  assert.deepEqual(packages('client'), [])
})

test('testing imports no package but ws', () => {
  const wrong = packages('testing').filter(([, name]) => name !== 'ws' && !name.startsWith('node:'))
  assert.deepEqual(wrong, [])
})

test('only metrics imports OpenTelemetry, which apps need not install', () => {
  const others = Object.keys(mayImport).filter(folder => folder !== 'metrics')
  const wrong = others.flatMap(packages).filter(([, name]) => name.startsWith('@opentelemetry/'))
  assert.deepEqual(wrong, [])
})

test('there are no import cycles', () => {
  const done = new Set<string>()
  const follow = (file: string, path: string[]): void => {
    assert.ok(!path.includes(file), [...path, file].join(' → '))
    if (done.has(file)) return
    for (const target of relativeImportsOf(file)) follow(target, [...path, file])
    done.add(file)
  }
  for (const file of imports.keys()) follow(file, [])
})

/** The specifiers of imports and re-exports of a file of lib, including those of types. */
function importsOf(file: string): string[] {
  return ts.preProcessFile(read(`lib/${file}`)).importedFiles.map(({ fileName }) => fileName)
}

/** The files of lib that a file imports. */
function relativeImportsOf(file: string): string[] {
  return (imports.get(file) ?? [])
    .filter(name => name.startsWith('.'))
    .map(name => posix.join(dirname(file), name).replace(/\.js$/, '.ts'))
}

/** All pairs of a file of lib and a file that it imports. */
function edges(): [file: string, target: string][] {
  return [...imports.keys()].flatMap(file =>
    relativeImportsOf(file).map((target): [string, string] => [file, target]),
  )
}

/** All pairs of a file of a folder and a package that it imports. */
function packages(folder: string): [file: string, name: string][] {
  return [...imports]
    .filter(([file]) => folderOf(file) === folder)
    .flatMap(([file, names]) =>
      names.filter(name => !name.startsWith('.')).map((name): [string, string] => [file, name]),
    )
}

function folderOf(file: string): string {
  if (file === 'index.ts' || file === 'instance-types.ts') return 'index'
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : 'root'
}
