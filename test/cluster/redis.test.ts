import { after, before } from 'node:test'
import { createClient } from 'redis'
import type { RedisClient } from '../../lib/cluster/redis/index.ts'
import { describeEngine, type EngineUnderTest } from '../contract/engine.ts'
import { describeEngineValues } from '../contract/engine-values.ts'
import { redisClock } from '../support/redis-clock.ts'
import { type StillRedisServer, stillRedisServer } from '../support/redis-server.ts'

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

let tests = 0
function make(): EngineUnderTest {
  const clock = redisClock(server)
  return {
    engine: clock.engine(client as unknown as RedisClient, `test-${++tests}`),
    clock,
    pass: ms => clock.advance((ms + 5) / 1_000),
  }
}

describeEngine('Redis', make)
describeEngineValues('Redis', make)
