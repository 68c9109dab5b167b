import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { guardedServer, type TestServer } from './guarded-server.ts'

export interface RedisServer extends TestServer {
  /** The path of its Unix socket. */
  readonly socket: string
  forget(): Promise<void>
}

/** A Redis of one's own, started. What it has acknowledged outlives a kill. */
export async function redisServer(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'gradio-state-redis-'))
  const socket = join(folder, 'socket')
  const settings = {
    port: '0',
    unixsocket: socket,
    dir: folder,
    databases: '64',
    save: '',
    appendonly: 'yes',
    appendfsync: 'always',
  }
  const server = guardedServer({
    command: [
      process.env.REDIS_SERVER_PATH ?? 'redis-server',
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ],
    folder,
    signal: 'KILL',
    async ask() {
      const client = createClient({ socket: { path: socket, reconnectStrategy: false } })
      client.on('error', () => {})
      await client.connect()
      client.destroy()
    },
  })
  await server.start()
  return {
    ...server,
    socket,
    forget: () => rm(join(folder, 'appendonlydir'), { recursive: true, force: true }),
  }
}
