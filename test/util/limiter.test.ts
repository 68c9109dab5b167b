import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eachBounded, Limiter } from '../../lib/util/limiter.ts'
import { deferred } from '../support/sessions/harness.ts'

describe('a limiter', () => {
  it('runs a task at once if there is a free slot', async () => {
    let freed = 0
    const limiter = new Limiter(1, () => freed++)
    let within = -1
    const running = limiter.run(async () => {
      within = limiter.free
    })
    assert.deepEqual([within, limiter.free, freed], [0, 0, 0])
    await running
    assert.deepEqual([limiter.free, freed], [1, 1])
  })

  it('counts running tasks, even beyond its limit', async () => {
    const limiter = new Limiter(1, () => {})
    const held = [deferred(), deferred()] as const
    for (const { promise } of held) limiter.occupy(promise)
    let ran = false
    const waiting = limiter.run(async () => {
      ran = true
    })
    held[0].resolve()
    await held[0].promise
    assert.deepEqual([limiter.free, ran], [0, false])
    held[1].resolve()
    await waiting
    assert.deepEqual([limiter.free, ran], [1, true])
  })

  it('starts waiting tasks in order, whether they are synchronous or not', async () => {
    let freed = 0
    const limiter = new Limiter(1, () => freed++)
    const log: string[] = []
    const first = deferred()
    const third = deferred()
    const all = [
      limiter.run(() => first.promise.then(() => void log.push('first'))),
      limiter.run(async () => void log.push('second')),
      limiter.run(() => third.promise.then(() => void log.push('third'))),
      limiter.run(async () => void log.push('fourth')),
    ]
    assert.deepEqual([log.length, limiter.free], [0, 0])
    first.resolve()
    await all[1]
    assert.deepEqual([log.join(), limiter.free, freed], ['first,second', 0, 0])
    third.resolve()
    await Promise.all(all)
    assert.deepEqual([log.join(), limiter.free, freed], ['first,second,third,fourth', 1, 1])
  })

  it('starts many waiting tasks, one after another, without a deep stack', async () => {
    const limiter = new Limiter(1, () => {})
    const first = deferred()
    let ran = 0
    void limiter.run(() => first.promise)
    const all = Array.from({ length: 50_000 }, () => limiter.run(async () => void ran++))
    first.resolve()
    await Promise.all(all)
    assert.equal(ran, 50_000)
  })

  it('also makes a task wait that was started by another task', async () => {
    const limiter = new Limiter(1, () => {})
    const log: string[] = []
    let inner: Promise<void> | undefined
    await limiter.run(async () => {
      inner = limiter.run(async () => void log.push('inner'))
      log.push('outer')
    })
    await inner
    assert.deepEqual([log.join(), limiter.free], ['outer,inner', 1])
  })
})

describe('each item, with a limit,', () => {
  it('is processed in order', async () => {
    const done: number[] = []
    await eachBounded([1, 2, 3], 2, item => void done.push(item))
    assert.deepEqual(done, [1, 2, 3])
  })

  it('waits while the limit is reached', async () => {
    const begun: number[] = []
    const ends = [1, 2, 3, 4].map(() => deferred())
    const all = eachBounded([0, 1, 2, 3, 4], 2, item => {
      begun.push(item)
      return item === 0 ? undefined : ends[item - 1]?.promise
    })
    await new Promise(setImmediate)
    assert.deepEqual(begun, [0, 1, 2])
    ends[1]?.resolve()
    await new Promise(setImmediate)
    assert.deepEqual(begun, [0, 1, 2, 3])
    for (const { resolve } of ends) resolve()
    await all
    assert.deepEqual(begun, [0, 1, 2, 3, 4])
  })
})
