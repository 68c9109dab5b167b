// Bundles lib to CommonJS, a file for each entry of the package: so it is small, and quick to load. ES modules are a layer
// over that (Node.js docs, "Writing dual packages while avoiding or minimizing hazards"): a process that imports the
// package, and one of whose packages requires it, has one copy. Only the browser module is an ES module of its own.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { minify } from 'terser'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
rmSync('dist', { recursive: true, force: true })

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const entries = Object.values(exports).filter(entry => entry.import)
const client = exports['./client']
const sourceOf = file => file.replace(/^\.\/dist\/(cjs|esm)\//, './lib/').replace(/\.js$/, '.ts')

execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.types.json'], {
  stdio: 'inherit',
})

const settings = {
  bundle: true,
  packages: 'external',
  platform: 'node',
  target: 'node20',
  minifyWhitespace: true,
  minifySyntax: true,
}
const strippedLua = {
  name: 'lua-without-comments',
  setup: ({ onLoad }) =>
    onLoad({ filter: /redis\/scripts\/\w+\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(/^ *--.*\n/gm, ''),
      loader: 'ts',
    })),
}
for (const { require: cjs } of entries) {
  const { default: outfile } = cjs
  await build({
    ...settings,
    entryPoints: [sourceOf(outfile)],
    outfile,
    format: 'cjs',
    plugins: [strippedLua],
  })
  writeFileSync(outfile, await shortened(withLateImports(readFileSync(outfile, 'utf8'))))
}
await build({
  ...settings,
  entryPoints: [sourceOf(client.require.default)],
  outfile: client.import.default,
  format: 'esm',
  platform: 'browser',
  target: 'es2020',
})

/** Packages that only apps with files use are loaded at their first use: they are half of the time that an import takes. */
function withLateImports(code) {
  const late =
    /\b(import_\w+)=((?:__toESM\()?require\("(?:multer|send|mime-types|content-disposition)"\)(?:,1\))?)/g
  for (const [declaration, name, load] of [...code.matchAll(late)]) {
    code = code
      .replace(declaration, `late_${name}`)
      .replace(new RegExp(`\\b${name}\\b`, 'g'), `(late_${name}??=${load})`)
  }
  return code
}

/** Shortens the names of variables. Those of functions and classes are kept: they stand in the stack traces that users send. */
async function shortened(code) {
  const mangle = { keep_classnames: true, keep_fnames: true }
  const { code: short } = await minify(code, { ecma: 2022, compress: false, mangle })
  return short
}

// The package is of type "module"; this folder is not.
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n')

// Declarations that no entry of the package leads to are of no use to anybody.
const reached = new Set()
for (const entry of entries) reach(resolve(entry.require.types))
for (const path of readdirSync('dist/cjs', { recursive: true })) {
  const file = resolve('dist/cjs', path)
  if (file.endsWith('.d.ts') && !reached.has(file)) rmSync(file)
}

function reach(file) {
  if (reached.has(file)) return
  reached.add(file)
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*['"](\.[^'"]+)\.js['"]/g)) {
    reach(resolve(dirname(file), `${path}.d.ts`))
  }
}

const require = createRequire(import.meta.url)
for (const entry of entries) {
  const module = entry.import.default
  const from = relative(dirname(module), entry.require.default)
  mkdirSync(dirname(module), { recursive: true })
  writeFileSync(entry.import.types, `export * from '${from}'\n`)
  if (entry === client) continue
  const names = Object.keys(require(resolve(entry.require.default))).join(', ')
  writeFileSync(module, `import cjs from '${from}'\n\nexport const { ${names} } = cjs\n`)
}
