import { type RedisNode, redisCluster, redisNode } from '../servers/redis-cluster.ts'
import { assertAllEmpty, assertEmpty } from './event-checks.ts'
import type { RedisAt } from './types.ts'

/** Runs a task with a separate Redis, which must not contain anything of a session at the end. */
export async function onRedis<T>(work: (at: RedisAt, server: RedisNode) => Promise<T>): Promise<T> {
  const server = await redisNode()
  try {
    const result = await work({ url: server.url }, server)
    await assertEmpty(server.url)
    return result
  } finally {
    await server.remove()
  }
}

/** As {@link onRedis}, with a Redis Cluster. */
export async function onRedisCluster<T>(
  work: (at: RedisAt, masters: readonly RedisNode[]) => Promise<T>,
): Promise<T> {
  const servers = await redisCluster()
  try {
    const result = await work({ ports: servers.ports }, servers.nodes)
    await assertAllEmpty(servers)
    return result
  } finally {
    await servers.remove()
  }
}
