import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Recount } from '../../lib/files/recount.ts'
import { deferred } from '../support/sessions/harness.ts'

/** Comparisons of `duration` ms each, on a clock that only comparisons and pauses advance. */
function recounts(duration: number) {
  const log: string[] = []
  let now = 0
  const clock = {
    now: () => now,
    async pause(ms: number) {
      log.push(`pause ${ms}`)
      now += ms
    },
  }
  const recount = new Recount(clock, async () => {
    log.push(`compare at ${now}`)
    now += duration
  })
  return { recount, log, advance: (ms: number) => (now += ms) }
}

it('calls during a comparison share the next one', async () => {
  const first = deferred()
  let count = 0
  const recount = new Recount({ now: () => 0, pause: async () => {} }, () => {
    count++
    return count === 1 ? first.promise : Promise.resolve()
  })
  const running = recount.run()
  await null
  const later = Array.from({ length: 100 }, () => recount.run())
  assert.equal(new Set(later).size, 1)
  first.resolve()
  await Promise.all([running, ...later])
  assert.equal(count, 2)
})

it('comparisons take at most a tenth of the time', async () => {
  const { recount, log } = recounts(100)
  for (let times = 0; times < 3; times++) await recount.run()
  assert.deepEqual(log, ['compare at 0', 'pause 900', 'compare at 1000', 'pause 900', 'compare at 2000'])
})

it('no call waits for longer than a second: then there is no comparison', async () => {
  const { recount, log, advance } = recounts(10_000)
  for (let times = 0; times < 100; times++) await recount.run()
  assert.deepEqual(log.splice(0), ['compare at 0'])
  advance(88_999)
  await recount.run()
  assert.deepEqual(log, [])
  advance(1)
  await recount.run()
  assert.deepEqual(log, ['pause 1000', 'compare at 100000'])
})

it('a comparison that fails rejects for those who share it, and the next one starts', async () => {
  let count = 0
  const recount = new Recount({ now: () => 0, pause: async () => {} }, async () => {
    if (++count === 1) throw new Error('a broken disk')
  })
  const shared = [recount.run(), recount.run()]
  for (const run of shared) await assert.rejects(run, /broken disk/)
  await recount.run()
  assert.equal(count, 2)
})
