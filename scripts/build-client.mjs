// Bundles what the library serves to browsers into modules, so that serving it reads no file, wherever a bundler or a serverless host
// has put the library: `client.js` into lib/http/client-script.ts, and the page of the inspector into
// lib/http/inspector/page-source.ts.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
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

const script = await bundle({
  stdin: { contents: entry, resolveDir: dirname(source), loader: 'ts' },
  minify: true,
  target: 'es2020',
})

const gzipSize = gzipSync(script).length
console.log(`client.js: ${script.length} bytes, ${gzipSize} gzipped`)
if (gzipSize > maxGzipSize) {
  console.error(`client.js is over its budget of ${maxGzipSize} bytes gzipped`)
  process.exit(1)
}
writeModule(target, 'lib/client/index.ts', 'clientScript', script)

const page = fileURLToPath(new URL('../lib/http/inspector/page/', import.meta.url))
const parts = {
  '/* style */': readFileSync(join(page, 'page.css'), 'utf8'),
  '/* script */': await bundle({ entryPoints: [join(page, 'index.ts')], target: 'es2022' }),
}
const html = readFileSync(join(page, 'page.html'), 'utf8').replace(
  /\/\* (style|script) \*\//g,
  part => parts[part],
)
writeModule(join(page, '../page-source.ts'), 'lib/http/inspector/page', 'pageSource', html)

async function bundle(options) {
  const { outputFiles } = await build({
    ...options,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    legalComments: 'none',
  })
  return outputFiles[0].text.trim()
}

/** Writes a module that exports a text. */
function writeModule(file, from, name, text) {
  const module =
    `// Generated from ${from} by scripts/build-client.mjs. Do not edit.\n` +
    `export const ${name} = \`${text.replace(/[\\`]|\$\{/g, '\\$&')}\`\n`
  // Another process may be reading the file.
  if (!existsSync(file) || readFileSync(file, 'utf8') !== module) writeFileSync(file, module)
}
