// Bundles the browser module that the library serves at `client.js` into lib/http/client-script.ts,
// so that serving it reads no file, wherever a bundler or a serverless host has put the library.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const maxGzipSize = 3072

const source = fileURLToPath(new URL('../lib/client/index.ts', import.meta.url))
const target = fileURLToPath(new URL('../lib/http/client-script.ts', import.meta.url))

// The served module connects by itself, to the routes it was itself loaded from.
const entry = `
  import { connect } from './index.ts'
  connect(new URL('.', import.meta.url))
  export { connect }
`

const { outputFiles } = await build({
  stdin: { contents: entry, resolveDir: dirname(source), loader: 'ts' },
  bundle: true,
  minify: true,
  write: false,
  format: 'esm',
  platform: 'browser',
  target: 'es2020',
  legalComments: 'none',
})
const script = outputFiles[0].text.trim()

const gzipSize = gzipSync(script).length
console.log(`client.js: ${script.length} bytes, ${gzipSize} gzipped`)
if (gzipSize > maxGzipSize) {
  console.error(`client.js is over its budget of ${maxGzipSize} bytes gzipped`)
  process.exit(1)
}

const text =
  `// Generated from lib/client/index.ts by scripts/build-client.mjs. Do not edit.\n` +
  `export const clientScript =\n  ${JSON.stringify(script)}\n`
// Another process may be reading the file.
if (!existsSync(target) || readFileSync(target, 'utf8') !== text) writeFileSync(target, text)
