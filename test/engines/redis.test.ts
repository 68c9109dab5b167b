import { after, before } from 'node:test'
import { createClient } from 'redis'
import { systemClock } from '../../lib/clock.ts'
import { redis } from '../../lib/engines/redis/index.ts'
import { describeEngine } from '../contract/engine.ts'
import { type RedisServer, redisServer } from '../support/redis-server.ts'

let server: RedisServer
let client: ReturnType<typeof createClient>
before(async () => {
  server = await redisServer()
  client = createClient({ socket: { path: server.socket } })
  client.on('error', () => {})
  await client.connect()
})
after(async () => {
  client.destroy()
  await server.remove()
})

let tests = 0
describeEngine('Redis', () => ({
  engine: redis({ client, prefix: `test-${++tests}` }),
  clock: systemClock,
  pass: ms => new Promise(resolve => setTimeout(resolve, ms + 5)),
}))
