import { describe, it } from 'node:test'
import { onRedis } from '../support/cluster/on-redis.ts'
import { forgotten, outage, rolledBack } from '../support/cluster/outages.ts'

describe('processes whose Redis', { concurrency: true, timeout: 600_000 }, () => {
  it('is unavailable for a while continue, delete nothing meanwhile, and catch up', async () => {
    await onRedis((at, server) => outage(at, server, 30, 3))
  })

  it('is unavailable for longer than their leases do not consider each other dead', async () => {
    await onRedis((at, server) => outage(at, server, 20, 17))
  })

  it('comes back empty report all their shares', async () => {
    await onRedis((_at, server) => forgotten(server, 30))
  })

  it('comes back without the last writes report these', async () => {
    await onRedis((_at, server) => rolledBack(server, 20))
  })
})
