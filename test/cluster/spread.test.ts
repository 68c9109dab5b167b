import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chaos } from '../support/cluster/chaos.ts'
import { onRedis, onRedisCluster } from '../support/cluster/on-redis.ts'
import { spread } from '../support/cluster/returning-users.ts'
import { count } from '../support/cluster/shared-counter.ts'

describe('three processes that share a Redis', { concurrency: true, timeout: 600_000 }, () => {
  it('unload and end each session once, and lose nothing of those who come back on another', async () => {
    const { reloaded } = await onRedis(at => spread(at, 300, 30))
    assert.ok(reloaded > 0, 'that some had been unloaded meanwhile')
  })

  it('lose nobody and forget nobody while all come and go, and nodes stop for moments', async () => {
    await onRedis(at => chaos(at, 30, 8, 1.5))
  })

  it('lose no update of a shared value, whoever makes it where, and tell of its deletion once', async () => {
    await onRedis(at => count(at, 1_000))
  })

  it('do so on a Redis Cluster of three masters', async () => {
    const { reloaded } = await onRedisCluster(at => spread(at, 300, 30))
    assert.ok(reloaded > 0, 'that some had been unloaded meanwhile')
  })
})
