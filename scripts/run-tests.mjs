// Runs the tests: all of them, those of one part, or the test files whose path contains one of the arguments.
//   node scripts/run-tests.mjs
//   node scripts/run-tests.mjs --part unit
//   node scripts/run-tests.mjs timer-wheel identity/

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { compileTests } from './compile-tests.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

/** How long one file may take, in ms. The slowest takes about a minute; one that hangs fails, and the others are run. */
const LIMIT = 15 * 60_000

/** Most of the slow files wait: for leases, timeouts, browsers. So more of them run at a time than there are processors. */
const CONCURRENCY = 2 * availableParallelism()

/** Started first, in this order, so that none of them runs alone at the end. A folder stands for its small files. */
const SLOWEST = [
  'test/client/reconnect.test.ts',
  'test/http',
  'test/browser/following.test.ts',
  'test/cluster',
  'test/browser/inspector.test.ts',
  'test/koa',
  'test/stores',
  'test/browser/tabs.test.ts',
  'test/client/leaving.test.ts',
  'test/files',
  'test/cluster/crashes.test.ts',
  'test/cluster/outages.test.ts',
  'test/cluster/spread.test.ts',
  'test/browser/cluster.test.ts',
  'test/client/client.test.ts',
  'test/heap/sessions.test.ts',
  'test/browser/staying.test.ts',
  'test/package/consumers.test.ts',
  'test/cluster/same-as-one.test.ts',
  'test/cluster/redis-coordinator.test.ts',
  'test/browser/closing.test.ts',
  'test/browser/uploads.test.ts',
  'test/browser/signals.test.ts',
  'test/pages/upgrade-matrix.test.ts',
  'test/identity/logout-races.test.ts',
  'test/scenarios/state-promises.test.ts',
  'test/scenarios/unload-promises.test.ts',
  'test/stores/connect-pg-simple.test.ts',
  'test/stores/connect-redis.test.ts',
  'test/stores/session-file-store.test.ts',
  'test/cluster/shutdown.test.ts',
  'test/files/sweep.test.ts',
  'test/files/floods.test.ts',
  'test/koa/uploads.test.ts',
  'test/model/model.test.ts',
]

/** The parts that run on request, since they install many packages, which takes minutes: see the scripts of package.json. */
const ON_REQUEST = ['recipes', 'compatibility']

/** Those of them that run with all other tests. */
const QUICK_RECIPES = ['test/recipes/express.test.ts', 'test/recipes/testing.test.ts']

/**
 * The small files of a folder share a process, since each process has to load the library and Express anew. Not those that
 * change or inspect what is the process's: warnings, signals, globals, built-in modules, the heap.
 */
const NEEDS_PROCESS = /\bprocess\b|\bglobal(This)?\.|syncBuiltinESMExports|warningsIn|failing-calls/

/** What a test file needs in addition to Node.js. A file belongs to the first part that matches. */
const PARTS = {
  recipes: file => file.startsWith('test/recipes/'),
  compatibility: file => file.startsWith('test/package/compatibility/'),
  package: file => file.startsWith('test/package/'),
  browser: (_file, { sources }) => sources.has('playwright-core'),
  redis: (_file, { sources }) =>
    sources.has('test/support/servers/redis-server.ts') ||
    sources.has('test/support/servers/redis-cluster.ts'),
  unit: () => true,
}

const {
  values: { part },
  positionals: filters,
} = parseArgs({ options: { part: { type: 'string' } }, allowPositionals: true })

if (part !== undefined && !Object.hasOwn(PARTS, part))
  fail(`Expected a part: ${Object.keys(PARTS).join(', ')}`)

const candidates = readdirSync('test', { recursive: true })
  .map(file => join('test', file))
  .filter(file => file.endsWith('.test.ts') && !file.includes('node_modules'))
  .filter(file => filters.length === 0 || filters.some(filter => file.includes(filter)))
const compiled = await compileTests(candidates)
const files = candidates
  .filter(file => (part === undefined ? isIncluded(file) : part === partOf(file)))
  .sort()

if (files.length === 0) fail(`No test file matches ${filters.join(' or ') || 'test/**/*.test.ts'}`)

// Each test process inherits the options of this one.
process.execArgv.push('--enable-source-maps')
run({ files: entriesOf(files), concurrency: CONCURRENCY, timeout: LIMIT })
  .on('test:fail', () => {
    process.exitCode = 1
  })
  // If only the last lines of a long log are kept: this reporter repeats the failures there.
  .compose(new spec())
  .pipe(process.stdout)

/** The programs to run: a test file, or the files of a folder that share a process. */
function entriesOf(files) {
  const groups = new Map()
  for (const file of files) groups.set(groupOf(file), [...(groups.get(groupOf(file)) ?? []), file])
  return [...groups.keys()].sort((a, b) => rank(a) - rank(b)).map(group => entryOf(groups.get(group)))
}

function groupOf(file) {
  const isAlone =
    SLOWEST.includes(file) ||
    ['browser', 'recipes'].includes(partOf(file)) ||
    NEEDS_PROCESS.test(readFileSync(file, 'utf8'))
  return isAlone ? file : dirname(file)
}

/** Reports the tests of several files below the names of the files. */
function entryOf(files) {
  if (files.length === 1) return compiled.get(files[0]).output
  const entry = join(process.env.TEST_BUILD, `${dirname(files[0]).replaceAll('/', '-')}.mjs`)
  const suites = files.map(file => {
    const url = pathToFileURL(compiled.get(file).output)
    return `describe('${file}', async () => void (await import('${url}')))\n`
  })
  writeFileSync(entry, `import { describe } from 'node:test'\n\n${suites.join('')}`)
  return entry
}

function isIncluded(file) {
  return filters.length > 0 || !ON_REQUEST.includes(partOf(file)) || QUICK_RECIPES.includes(file)
}

function partOf(file) {
  return Object.keys(PARTS).find(part => PARTS[part](file, compiled.get(file)))
}

function rank(group) {
  const index = SLOWEST.indexOf(group)
  return index === -1 ? SLOWEST.length : index
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
