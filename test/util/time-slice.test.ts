import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Pace } from '../../lib/util/time-slice.ts'

/** Turns of which each round takes so long, before and after the turn's own work is over; how many rounds each had. */
function turns(count: number, within: number, afterwards: number, isAllDone = false): number[] {
  const pace = new Pace()
  let now = 0
  return Array.from({ length: count }, () => {
    let rounds = 0
    pace.begin(now)
    for (; pace.allows(now); rounds++) now += within
    pace.end(isAllDone)
    now += rounds * afterwards
    return rounds
  })
}

it('a turn is over after some milliseconds', () => {
  assert.deepEqual(turns(3, 1, 0), [4, 4, 4])
})

it('a turn has more rounds when the one before was soon over, up to a bound', () => {
  assert.deepEqual(turns(8, 0, 0), [16, 32, 64, 128, 256, 512, 512, 512])
})

it('a turn has fewer rounds when what the one before set off took long, but at least one', () => {
  assert.deepEqual(turns(6, 0, 100), [16, 8, 4, 2, 1, 1])
})

it('the time in which nothing was left to do does not count', () => {
  assert.deepEqual(turns(3, 0, 100, true), [16, 16, 16])
})
