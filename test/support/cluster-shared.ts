import assert from 'node:assert/strict'
import { of } from './cluster-audit.ts'
import { clusterNodes } from './cluster-nodes.ts'
import type { RedisAt } from './cluster-types.ts'

/** Clients on all nodes count up one shared value of one user, all at once; then the user goes. */
export async function count(redisAt: RedisAt, increments: number, clients = 8): Promise<{ counted: number }> {
  const cluster = await clusterNodes(redisAt, { gracePeriod: 1, unloadDelay: 0.2 })
  try {
    let next = 0
    const client = async (index: number) => {
      const node = cluster.nodes[index % cluster.nodes.length]!
      while (next++ < increments) {
        const { status } = await node.ask('POST', '/count', 'user')
        assert.equal(status, 200)
      }
    }
    await Promise.all(Array.from({ length: clients }, (_, index) => client(index)))
    const counts = await Promise.all(cluster.nodes.map(node => node.ask('GET', '/count', 'user')))
    assert.deepEqual(
      counts.map(({ body }) => body.count),
      cluster.nodes.map(() => increments),
    )
    const deleted = () => of(cluster.events(), 'shared')
    await cluster.until(() => deleted().length > 0, 10, 'that the value goes with its session')
    assert.deepEqual(
      deleted().map(({ reason, value }) => ({ reason, value })),
      [{ reason: 'disconnected', value: String(increments) }],
    )
    return { counted: increments }
  } finally {
    await cluster.remove()
  }
}
