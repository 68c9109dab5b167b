import assert from 'node:assert/strict'
import { it } from 'node:test'
import { SliceLimiter } from '../../lib/util/time-slice.ts'

/** The number of rounds of each slice, when a round takes `within` ms itself and its promise callbacks take `afterwards` ms. */
function slices(count: number, within: number, afterwards: number, isAllDone = false): number[] {
  const limiter = new SliceLimiter()
  let now = 0
  return Array.from({ length: count }, () => {
    let rounds = 0
    limiter.begin(now)
    for (; limiter.allows(now); rounds++) now += within
    limiter.end(isAllDone)
    now += rounds * afterwards
    return rounds
  })
}

it('a slice ends after a few milliseconds', () => {
  assert.deepEqual(slices(3, 1, 0), [4, 4, 4])
})

it('a slice has twice as many rounds when the one before was short, up to a limit', () => {
  assert.deepEqual(slices(8, 0, 0), [16, 32, 64, 128, 256, 512, 512, 512])
})

it('a slice has half as many rounds when the promise callbacks of the one before took long, but at least one', () => {
  assert.deepEqual(slices(6, 0, 100), [16, 8, 4, 2, 1, 1])
})

it('time in which nothing was due does not count', () => {
  assert.deepEqual(slices(3, 0, 100, true), [16, 16, 16])
})
