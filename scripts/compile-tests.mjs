// Compiles test files to JavaScript, all at once: a loader in each test process would compile lib and the test helpers
// again for each process.

import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'

/** Ignored by git. Each run has its own folder in it, so that two runs can overlap. */
const FOLDER = '.test-build'

/** What tests start in processes of their own: see test/support/program.ts. */
const PROGRAMS = [
  'example-app/cluster-node.ts',
  'example-app/server-cluster.ts',
  'example-app/server-koa.ts',
  'example-app/server.ts',
  'test/heap/sessions.ts',
  'test/support/files/cache-process.ts',
  'test/support/files/upload-server.ts',
  'test/support/metrics/throwing-subscribers.ts',
  'test/support/pages/silent-peer.ts',
  'test/support/pages/upgrade-matrix.ts',
  'test/support/servers/workers.ts',
]

/**
 * @param {readonly string[]} files below the current directory
 * @returns {Promise<Map<string, CompiledTest>>} by the name of the test file
 *
 * The folder is in the environment variable TEST_BUILD then, for the processes that are started.
 *
 * @typedef {object} CompiledTest
 * @property {string} output the path of the program
 * @property {ReadonlySet<string>} sources direct and indirect imports: files of this repository, names of modules
 */
export async function compileTests(files) {
  removeLeftovers()
  const outdir = join(FOLDER, String(process.pid))
  process.once('exit', () => rmSync(outdir, { recursive: true, force: true }))
  process.env.TEST_BUILD = resolve(outdir)
  const { metafile } = await build({
    entryPoints: [...files, ...PROGRAMS],
    outdir,
    outbase: '.',
    entryNames: '[dir]/[name]',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    // Modules that several tests import are compiled and written once.
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    keepNames: true,
    sourcemap: true,
    metafile: true,
    logLevel: 'warning',
    // Without the `paths` of tsconfig.json: `gradio-state` is the built package.
    tsconfigRaw: {},
    plugins: [keepLocation],
  })
  return new Map(
    Object.entries(metafile.outputs).flatMap(([output, { entryPoint }]) =>
      entryPoint === undefined
        ? []
        : [[entryPoint, { output: resolve(output), sources: reach(metafile.inputs, entryPoint) }]],
    ),
  )
}

/** Makes `import.meta` of a file refer to its source. */
const keepLocation = {
  name: 'keep-location',
  setup({ initialOptions, onLoad }) {
    initialOptions.define = { 'import.meta.url': '__url', 'import.meta.filename': '__filename' }
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      const constants = `const __url = ${JSON.stringify(pathToFileURL(path).href)}, __filename = ${JSON.stringify(path)};`
      return { contents: text.includes('import.meta') ? constants + text : text, loader: 'ts' }
    })
  },
}

/** The inputs that one of them imports, directly or indirectly. */
function reach(inputs, file, seen = new Set()) {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const { path } of inputs[file]?.imports ?? []) reach(inputs, path, seen)
  return seen
}

/** Removes the folders of runs that were killed. */
function removeLeftovers() {
  mkdirSync(FOLDER, { recursive: true })
  for (const pid of readdirSync(FOLDER)) {
    if (!isAlive(Number(pid))) rmSync(join(FOLDER, pid), { recursive: true, force: true })
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
