import { after, before } from 'node:test'
import { createClient } from 'redis'
import { redis } from '../../lib/cluster/redis/index.ts'
import { systemClock } from '../../lib/util/clock.ts'
import { describeEngine, type EngineUnderTest } from '../contract/engine.ts'
import { describeSharedValues } from '../contract/shared-values.ts'
import { type RedisServer, redisServer } from '../support/redis-server.ts'

let server: RedisServer
let client: ReturnType<typeof createClient>
before(async () => {
  server = await redisServer()
  client = createClient({ socket: { path: server.socket, tls: false } })
  client.on('error', () => {})
  await client.connect()
})
after(async () => {
  client.destroy()
  await server.remove()
})

let tests = 0
const make = (): EngineUnderTest => ({
  engine: redis({ client, prefix: `test-${++tests}` }),
  clock: systemClock,
  pass: ms => new Promise(resolve => setTimeout(resolve, ms + 5)),
})

describeEngine('Redis', make)
describeSharedValues('Redis', make)
