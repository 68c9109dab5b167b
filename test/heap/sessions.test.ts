import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { it } from 'node:test'
import { program } from '../support/program.ts'
import type { Report } from './sessions.ts'

/** Until then the heap grows by what is created once: compiled code, the capacity of tables. */
const WARM_UP = 20_000
const SESSIONS = 20_000

it('20,000 sessions leave nothing behind: the heap returns to its size, and no timer, listener or socket is left', t => {
  const counts = [`${WARM_UP}`, `${SESSIONS}`]
  const args = ['--expose-gc', '--no-warnings', ...program('test/heap/sessions.ts'), ...counts]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 840_000 })
  assert.equal(stderr, '')
  assert.equal(status, 0)
  const { before, after, callbacks, seconds } = JSON.parse(stdout) as Report
  const growth = after.heapUsed / before.heapUsed - 1
  t.diagnostic(
    `${(before.heapUsed / 1e6).toFixed(2)} MB before, ${(growth * 100).toFixed(2)} % more after, ${seconds.toFixed(0)} s`,
  )
  assert.equal(callbacks, 2 * SESSIONS)
  // Of 18 MB: 27 bytes for each session. An empty array that is kept for each of them is 6 %.
  assert.ok(growth < 0.03, `the heap has grown by ${(growth * 100).toFixed(1)} %`)
  assert.deepEqual(after.resources, before.resources)
  assert.deepEqual(after.listeners, before.listeners)
  assert.equal(after.timers, 0)
  assert.deepEqual(after.stats, { sessions: 0, ending: 0, pages: 0 })
})
