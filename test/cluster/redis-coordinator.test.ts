import { after, before } from 'node:test'
import { createClient } from 'redis'
import type { RedisClient } from '../../lib/cluster/redis/index.ts'
import { describeCoordinator } from '../contract/coordinator.ts'
import { troubledClient } from '../support/cluster/troubled-client.ts'
import { redisClock } from '../support/servers/redis-clock.ts'
import { type StillRedisServer, stillRedisServer } from '../support/servers/redis-server.ts'

let server: StillRedisServer
let client: ReturnType<typeof createClient>
before(async () => {
  server = await stillRedisServer()
  client = createClient({ socket: { path: server.socket, tls: false } })
  client.on('error', () => {})
  await client.connect()
})
after(async () => {
  client.destroy()
  await server.remove()
})

let places = 0
describeCoordinator('on Redis', () => {
  const clock = redisClock(server)
  const prefix = `place-${++places}`
  return {
    clock,
    node() {
      const troubled = troubledClient(client as unknown as RedisClient)
      const coordinator = clock.coordinator(troubled.client, prefix)
      const { holdMessages, cut } = troubled
      return { coordinator, holdMessages, cut, kill: () => void cut() }
    },
    rest: () => clock.rest(),
  }
})
