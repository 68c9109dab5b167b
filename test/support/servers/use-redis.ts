import { after, before } from 'node:test'
import { createClient } from 'redis'
import { type StillRedisServer, stillRedisServer } from './redis-server.ts'

/** A Redis whose time stands still, and a client of it. Both exist while the tests of the file run. */
export interface UsedRedis {
  readonly server: StillRedisServer
  readonly client: ReturnType<typeof createClient>
}

/** Starts a Redis before the tests of a file, and removes it afterwards. Has to be called once, at the top of the file. */
export function useRedis(): UsedRedis {
  let server: StillRedisServer
  let client: UsedRedis['client']
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
  return {
    get server() {
      return server
    },
    get client() {
      return client
    },
  }
}
