import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { it } from 'node:test'
import { program } from '../support/program.ts'
import type { Report } from './sessions.ts'

const SESSIONS = 10_000
const ROUNDS = 3

it('30,000 sessions leave nothing behind: the heap stops growing, and no timer, listener or socket is left', t => {
  const args = [
    '--expose-gc',
    '--no-warnings',
    ...program('test/heap/sessions.ts'),
    `${SESSIONS}`,
    `${ROUNDS}`,
  ]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 840_000 })
  assert.equal(stderr, '')
  assert.equal(status, 0)
  const { measures, callbacks } = JSON.parse(stdout) as Report
  const [first, ...others] = measures
  assert.ok(first !== undefined && others.length === ROUNDS)
  const growths = others.map((measure, index) => measure.heapUsed / (measures[index] ?? first).heapUsed - 1)
  const listed = growths.map(growth => `${(growth * 100).toFixed(2)} %`).join(', ')
  t.diagnostic(`${(first.heapUsed / 1e6).toFixed(2)} MB, then ${listed} more`)
  assert.equal(callbacks, 2 * SESSIONS * (ROUNDS + 1))
  // The median: compiled code, or a table that doubles, makes one round grow, and a leak each. Of 18 MB: 27 bytes for each
  // session. An empty array that is kept for each of them is 3 %.
  const median = growths.sort((a, b) => a - b)[(ROUNDS - 1) / 2] ?? Number.NaN
  assert.ok(median < 0.015, `the heap has grown by ${listed}`)
  for (const after of others) {
    assert.deepEqual(after.resources, first.resources)
    assert.deepEqual(after.listeners, first.listeners)
    assert.equal(after.timers, 0)
    assert.deepEqual(after.stats, { sessions: 0, ending: 0, pages: 0 })
  }
})
