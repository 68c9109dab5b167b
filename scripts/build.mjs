// Compiles lib twice, to ES modules and to CommonJS.

import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
rmSync('dist', { recursive: true, force: true })

for (const format of ['esm', 'cjs']) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', `tsconfig.${format}.json`], {
    stdio: 'inherit',
  })
}

// The package is of type "module"; this folder is not.
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n')
