import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crash, endInStandIn, pause, pauseInGrace, pauseInHook } from '../support/cluster/crashes.ts'
import { onRedis } from '../support/cluster/on-redis.ts'

// Most of the time they wait for a lease to run out, so they do it together.
describe('a process that', { concurrency: true, timeout: 600_000 }, () => {
  it('is killed: others finish what it held, and touch nothing else', async () => {
    await onRedis(at => crash(at, 60, 'at once'))
  })

  it('is killed between what an ended hook does and its acknowledgement: it is done again with the same key', async () => {
    const { repeated } = await onRedis(at => crash(at, 60, 'ended'))
    assert.ok(repeated > 0)
  })

  it('stops for longer than its lease, and goes on: it lets go of what others have taken over', async () => {
    const { taken } = await onRedis(at => pause(at, 60, 18))
    assert.ok(taken > 0)
  })

  it('stops until others have unloaded its sessions, and goes on: its pages load them again', async () => {
    await onRedis(at => pauseInGrace(at, 10, 25))
  })

  it('is killed: who stands in for it unloads and ends a session one after the other', async () => {
    await onRedis(at => endInStandIn(at))
  })

  it('stops within a hook until others have done the rest: it does not do it as well', async () => {
    await onRedis(at => pauseInHook(at, 5, 18))
  })
})
