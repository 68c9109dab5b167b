import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { onRedis } from '../support/cluster/on-redis.ts'
import { endTwice, onTwoNodes, shutdown } from '../support/cluster/shutdown.ts'

describe('processes that share a Redis', { concurrency: true, timeout: 600_000 }, () => {
  it('continue the sessions of one that closes', async () => {
    const { moved, left } = await onRedis(at => shutdown(at, 60))
    assert.ok(moved > 0 && left > 0)
  })

  it('end a session once when two of them end it at the same time', async () => {
    await onRedis(at => endTwice(at, 40))
  })

  it('report once each that both have local values of one session', async () => {
    const reported = await onRedis(at => onTwoNodes(at, 10))
    assert.deepEqual(reported, { A: 1, B: 1 })
  })
})
