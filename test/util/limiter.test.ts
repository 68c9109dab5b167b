import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eachBounded, Gate } from '../../lib/util/limiter.ts'
import { deferred } from '../support/harness.ts'

describe('a gate', () => {
  it('runs a task that finds a place at once, and needs no promise for one that is over then', () => {
    let freed = 0
    const gate = new Gate(1, () => freed++)
    let within = -1
    assert.equal(
      gate.run(() => {
        within = gate.free
      }),
      undefined,
    )
    assert.deepEqual([within, gate.free, freed], [0, 1, 1])
  })

  it('lets those who wait go on in their order, whether they take time or not', async () => {
    let freed = 0
    const gate = new Gate(1, () => freed++)
    const log: string[] = []
    const first = deferred()
    const third = deferred()
    const all = [
      gate.run(() => first.promise.then(() => void log.push('first'))),
      gate.run(() => void log.push('second')),
      gate.run(() => third.promise.then(() => void log.push('third'))),
      gate.run(() => void log.push('fourth')),
    ]
    assert.deepEqual([log.length, gate.free], [0, 0])
    first.resolve()
    await all[1]
    assert.deepEqual([log.join(), gate.free, freed], ['first,second', 0, 0])
    third.resolve()
    await Promise.all(all)
    assert.deepEqual([log.join(), gate.free, freed], ['first,second,third,fourth', 1, 1])
  })

  it('takes many who wait, one after the other, without a deep stack', async () => {
    const gate = new Gate(1, () => {})
    const first = deferred()
    let ran = 0
    void gate.run(() => first.promise)
    const all = Array.from({ length: 50_000 }, () => gate.run(() => void ran++))
    first.resolve()
    await Promise.all(all)
    assert.equal(ran, 50_000)
  })

  it('lets a task that was begun by another one wait, too', async () => {
    const gate = new Gate(1, () => {})
    const log: string[] = []
    let inner: unknown
    assert.equal(
      gate.run(() => {
        inner = gate.run(() => void log.push('inner'))
        log.push('outer')
      }),
      undefined,
    )
    await inner
    assert.deepEqual([log.join(), gate.free], ['outer,inner', 1])
  })
})

describe('each item, in bounds,', () => {
  it('is done at once where nothing has to be waited for', () => {
    const done: number[] = []
    assert.equal(
      eachBounded([1, 2, 3], 2, item => void done.push(item)),
      undefined,
    )
    assert.deepEqual(done, [1, 2, 3])
  })

  it('waits while as many as may be are under way', async () => {
    const begun: number[] = []
    const ends = [1, 2, 3, 4].map(() => deferred())
    const all = eachBounded([0, 1, 2, 3, 4], 2, item => {
      begun.push(item)
      return item === 0 ? undefined : ends[item - 1]?.promise
    })
    assert.deepEqual(begun, [0, 1, 2])
    ends[1]?.resolve()
    await new Promise(setImmediate)
    assert.deepEqual(begun, [0, 1, 2, 3])
    for (const { resolve } of ends) resolve()
    await all
    assert.deepEqual(begun, [0, 1, 2, 3, 4])
  })
})
