import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { KeyedMutex } from '../../lib/util/keyed-mutex.ts'
import { deferred } from '../support/sessions/harness.ts'

describe('a keyed mutex', () => {
  it('runs the tasks of a key one after another, in order', async () => {
    const lock = new KeyedMutex()
    const log: string[] = []
    const first = deferred()
    const tasks = [
      lock.run('a', async () => {
        log.push('1 begins')
        await first.promise
        log.push('1 ends')
      }),
      lock.run('a', async () => void log.push('2')),
      lock.run('a', async () => void log.push('3')),
    ]
    await turn()
    assert.deepEqual(log, ['1 begins'])
    first.resolve()
    await Promise.all(tasks)
    assert.deepEqual(log, ['1 begins', '1 ends', '2', '3'])
  })

  it('does not block other keys', async () => {
    const lock = new KeyedMutex()
    const never = lock.run('a', () => new Promise(() => {}))
    assert.equal(await lock.run('b', async () => 'done'), 'done')
    assert.ok(never)
  })

  it('continues after a task that failed, and rejects only for its caller', async () => {
    const lock = new KeyedMutex()
    const failed = lock.run('a', async () => {
      throw new Error('of the first')
    })
    const next = lock.run('a', async () => 'next')
    await assert.rejects(failed, /of the first/)
    assert.equal(await next, 'next')
  })

  it('never runs two tasks of a key at once, with thousands of tasks', async () => {
    const lock = new KeyedMutex()
    const running = new Map<number, number>()
    let most = 0
    const task = (key: number) => async () => {
      running.set(key, (running.get(key) ?? 0) + 1)
      most = Math.max(most, running.get(key)!)
      if (Math.random() < 0.5) await turn()
      running.set(key, running.get(key)! - 1)
      if (Math.random() < 0.1) throw new Error('now and then')
    }
    await Promise.allSettled(Array.from({ length: 3000 }, (_, i) => lock.run(String(i % 7), task(i % 7))))
    assert.equal(most, 1)
  })
})
