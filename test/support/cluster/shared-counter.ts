import assert from 'node:assert/strict'
import { of } from './event-checks.ts'
import { startNodes } from './node-processes.ts'
import type { RedisAt } from './types.ts'

/** Clients on all nodes concurrently increment one shared value of one user, whose page is open; then the page is closed. */
export async function count(redisAt: RedisAt, increments: number, clients = 8): Promise<{ counted: number }> {
  const cluster = await startNodes(redisAt, { gracePeriod: 1, unloadDelay: 0.2 })
  try {
    // Without it, a machine that is too busy to send a request within the grace period would end the session.
    const page = await cluster.nodes[0]!.open('user', 'page')
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
    await page.close()
    const deleted = () => of(cluster.events(), 'shared')
    await cluster.until(() => deleted().length > 0, 10, 'that the value goes with its session')
    assert.deepEqual(
      deleted().map(({ reason, value }) => ({ reason, value })),
      [{ reason: 'disconnected', value: String(increments) }],
    )
    await cluster.untilEmpty()
    return { counted: increments }
  } finally {
    await cluster.remove()
  }
}
