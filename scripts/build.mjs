// Compiles lib to ES modules and to CommonJS, without comments: those for users are in the declarations.

import { execFileSync } from 'node:child_process'
import { cpSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
rmSync('dist', { recursive: true, force: true })

for (const format of ['types', 'esm', 'cjs']) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', `tsconfig.${format}.json`], {
    stdio: 'inherit',
  })
}

// The declarations are the same for both.
cpSync('dist/esm', 'dist/cjs', {
  recursive: true,
  filter: path => statSync(path).isDirectory() || path.endsWith('.d.ts'),
})

// The package is of type "module"; this folder is not.
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n')
