import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crash, endInStandIn, pause, pauseInGrace, pauseInHook } from '../support/cluster/crashes.ts'
import { onRedis } from '../support/cluster/on-redis.ts'

// Most of the time they wait for a lease to expire, so they run concurrently.
describe('a process that', { concurrency: true, timeout: 600_000 }, () => {
  it('is killed: other nodes finish its work, and nothing else', async () => {
    await onRedis(at => crash(at, 30, 'at once'))
  })

  it('is killed between the effect of an ended hook and its acknowledgement: the hook runs again with the same key', async () => {
    const { repeated } = await onRedis(at => crash(at, 30, 'ended'))
    assert.ok(repeated > 0)
  })

  it('is paused for longer than its lease, and continues: it drops what other nodes have taken over', async () => {
    const { taken } = await onRedis(at => pause(at, 30, 18))
    assert.ok(taken > 0)
  })

  it('is paused until other nodes have unloaded its sessions, and continues: its pages load them again', async () => {
    await onRedis(at => pauseInGrace(at, 10, 25))
  })

  it('is killed: the node that takes over unloads and ends a session one after the other', async () => {
    await onRedis(at => endInStandIn(at))
  })

  it('is paused inside a hook until other nodes have done the rest: it does not repeat that', async () => {
    await onRedis(at => pauseInHook(at, 5, 18))
  })
})
