// Compiles lib to ES modules and to CommonJS, without comments: those for users are in the declarations.

import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
rmSync('dist', { recursive: true, force: true })

for (const format of ['types', 'esm', 'cjs']) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', `tsconfig.${format}.json`], {
    stdio: 'inherit',
  })
}

// Declarations that no entry of the package leads to are of no use to anybody.
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const reached = new Set()
for (const entry of Object.values(exports)) if (entry.import) reach(resolve(entry.import.types))
for (const path of readdirSync('dist/esm', { recursive: true })) {
  const file = resolve('dist/esm', path)
  if (file.endsWith('.d.ts') && !reached.has(file)) rmSync(file)
}

function reach(file) {
  if (reached.has(file)) return
  reached.add(file)
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*['"](\.[^'"]+)\.js['"]/g)) {
    reach(resolve(dirname(file), `${path}.d.ts`))
  }
}

// The declarations are the same for both.
cpSync('dist/esm', 'dist/cjs', {
  recursive: true,
  filter: path => statSync(path).isDirectory() || path.endsWith('.d.ts'),
})

// The package is of type "module"; this folder is not.
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n')
