// Compiles lib to dist/cjs. The ES modules in dist/esm are a layer over that (Node.js docs, "Writing dual packages while
// avoiding or minimizing hazards"), so a process that both imports and requires the package has one copy. Only the
// browser module is compiled as an ES module too. Nothing is done when nothing has changed since the last build.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const require = createRequire(import.meta.url)
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const entries = Object.entries(exports).filter(([, entry]) => entry.require)

/** Written last, so that an interrupted build doesn't have it. */
const STAMP = 'dist/.built-from'
const sources = digest()
if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === sources && isComplete()) process.exit()

rmSync('dist', { recursive: true, force: true })
compile('-p', 'tsconfig.build.json')
// The package is of type "module"; this folder is not.
write('dist/cjs/package.json', '{ "type": "commonjs" }\n')
compile('-p', 'lib/client/tsconfig.build.json')

for (const [path, entry] of entries) {
  layer(path, entry)
  if (path !== '.') stub(path, entry.require)
}
write(STAMP, sources)

/** A hash of everything that the build reads. */
function digest() {
  const files = readdirSync('lib', { recursive: true, withFileTypes: true })
    .filter(file => file.isFile() && !file.name.endsWith('.tsbuildinfo'))
    .map(file => join(file.parentPath ?? file.path, file.name))
    .sort()
  const hash = createHash('sha256')
  const others = [
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'scripts/build.mjs',
  ]
  for (const file of [...others, ...files]) hash.update(`${file}\0`).update(readFileSync(file)).update('\0')
  return hash.digest('hex')
}

function isComplete() {
  return entries.every(([path, { import: esm, require: cjs }]) =>
    [esm.default, esm.types, cjs.default, cjs.types, join(path, 'package.json')].every(file =>
      existsSync(file),
    ),
  )
}

/** By the native compiler, which is several times as fast. It has no API yet, which TypeDoc and some tests need: that is `typescript`. */
function compile(...args) {
  execFileSync(process.execPath, ['node_modules/typescript7/bin/tsc', ...args], { stdio: 'inherit' })
}

/** The ES module that re-exports a CommonJS entry. */
function layer(path, { import: esm, require: cjs }) {
  const from = relative(dirname(esm.default), cjs.default)
  write(esm.types, `export * from '${from}'\n`)
  if (path === './client') return
  const names = Object.keys(require(resolve(cjs.default))).join(', ')
  write(esm.default, `import cjs from '${from}'\n\nexport const { ${names} } = cjs\n`)
}

/** A folder that forwards to an entry where "exports" is not read: by TypeScript's `node10` resolution, or Jest before 28. */
function stub(path, { types, default: main }) {
  const to = target => relative(path, target)
  write(`${path}/package.json`, `${JSON.stringify({ main: to(main), types: to(types) }, null, 2)}\n`)
}

function write(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}
