import { describe, it } from 'node:test'
import { onRedis } from '../support/cluster/on-redis.ts'
import { forgotten, outage, rolledBack } from '../support/cluster/outages.ts'

describe('processes whose Redis', { concurrency: true, timeout: 600_000 }, () => {
  it('is away for a while go on, delete nothing meanwhile, and catch up', async () => {
    await onRedis((at, server) => outage(at, server, 60, 3))
  })

  it('is away for longer than their leases do not take each other for dead', async () => {
    await onRedis((at, server) => outage(at, server, 30, 17))
  })

  it('comes back empty tell it what they hold', async () => {
    await onRedis((_at, server) => forgotten(server, 60))
  })

  it('comes back without what was written last tell it that', async () => {
    await onRedis((_at, server) => rolledBack(server, 30))
  })
})
