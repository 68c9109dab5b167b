import assert from 'node:assert/strict'
import { it } from 'node:test'
import { CacheSpace } from '../../lib/files/cache-space.ts'
import { Quota } from '../../lib/files/quota.ts'
import { deferred } from '../support/sessions/harness.ts'

/** A full cache of 10 sessions that never returned, with 100 bytes each. Evictions end when `end` is called. */
function fullCache() {
  const total = new Quota(1_000, 'CACHE_FULL', 'maxCacheBytes')
  total.add(1_000)
  const sessions = new Map(
    Array.from({ length: 10 }, (_, id) => [`${id}`, { bytes: 100, compare: async () => {} }]),
  )
  const waiting = [...sessions.keys()]
  const evicted: string[] = []
  const ends: (() => void)[] = []
  const space = new CacheSpace({
    total,
    sessions,
    now: () => 0,
    pause: async () => {},
    evict() {
      const id = waiting.shift()
      if (id === undefined) return undefined
      evicted.push(id)
      const { promise, resolve } = deferred()
      ends.push(() => {
        total.release(100)
        resolve()
      })
      return { id, ended: promise }
    },
  })
  const end = () => {
    for (const each of ends.splice(0)) each()
  }
  return { space, total, evicted, end }
}

it('evicts as many sessions as have the bytes, and waits for their ends', async () => {
  const { space, total, evicted, end } = fullCache()
  let isEvicted = false
  const eviction = space.evict(250, 'saving').then(result => {
    isEvicted = true
    return result
  })
  await new Promise(setImmediate)
  assert.deepEqual([evicted, isEvicted], [['0', '1', '2'], false])
  end()
  assert.equal(await eviction, true)
  assert.equal(total.missing(250), 0)
})

it('counts what running evictions release', async () => {
  const { space, evicted, end } = fullCache()
  const evictions = [space.evict(60, 'one'), space.evict(40, 'two'), space.evict(110, 'three')]
  assert.deepEqual(evicted, ['0', '1'])
  end()
  assert.deepEqual(await Promise.all(evictions), [true, true, true])
})

it('tells when no session is left', async () => {
  const { space, evicted, end } = fullCache()
  const eviction = space.evict(5_000, 'saving')
  assert.equal(evicted.length, 10)
  end()
  assert.equal(await eviction, true)
  assert.equal(await space.evict(5_000, 'saving'), false)
})
