import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chaos } from '../support/cluster/chaos.ts'
import { onRedis, onRedisCluster } from '../support/cluster/on-redis.ts'
import { spread } from '../support/cluster/returning-users.ts'
import { count } from '../support/cluster/shared-counter.ts'

describe('three processes that share a Redis', { concurrency: true, timeout: 600_000 }, () => {
  it('unload and end each session once, and lose nothing of users who return on another process', async () => {
    const { reloaded } = await onRedis(at => spread(at, 120, 24))
    assert.ok(reloaded > 0, 'that some had been unloaded meanwhile')
  })

  it('lose no session and leave none behind while users arrive and leave, and nodes are paused', async () => {
    await onRedis(at => chaos(at, 20, 6, 1.5))
  })

  it('lose no concurrent update of a shared value, and run its delete callback once', async () => {
    await onRedis(at => count(at, 400))
  })

  it('do the same on a Redis Cluster of three masters', async () => {
    const { reloaded } = await onRedisCluster(at => spread(at, 120, 24))
    assert.ok(reloaded > 0, 'that some had been unloaded meanwhile')
  })
})
