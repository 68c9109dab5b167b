// Runs the test files whose path contains one of the arguments, or all of them:
//   node scripts/run-tests.mjs timer-wheel identity/
// `node --test` takes no globs before Node 21.

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const filters = process.argv.slice(2)
const files = readdirSync('test', { recursive: true })
  .map(file => join('test', file))
  .filter(file => file.endsWith('.test.ts') && !file.includes('node_modules'))
  .filter(file => filters.length === 0 || filters.some(filter => file.includes(filter)))
  .sort()

if (files.length === 0) {
  console.error(`No test file matches ${filters.join(' or ') || 'test/**/*.test.ts'}`)
  process.exit(1)
}

/** How long one file may take, in ms. The slowest takes about two minutes; one that hangs fails, and the others are run. */
const LIMIT = 15 * 60_000

const { status } = spawnSync(
  process.execPath,
  [
    ...['--import', 'tsx', '--test', '--test-concurrency=2', `--test-timeout=${LIMIT}`],
    // Only the last lines of a long log may be kept, and this reporter repeats there what has failed.
    ...['--test-reporter=spec', ...files],
  ],
  { stdio: 'inherit' },
)
process.exit(status ?? 1)
