import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createClient } from 'redis'
import { SettingsError } from './settings.ts'

export interface Redis {
  url: string
  stop(): Promise<void>
}

/** The Redis at that address; without one, a Redis that only the demo has, with its socket in `folder`. */
export async function openRedis(url: string | undefined, folder: string): Promise<Redis> {
  if (!url) return startRedis(folder)
  await reach(url, 0).catch(error => {
    throw new SettingsError(`REDIS_URL: expected a Redis that answers, received '${url}' (${error.message})`)
  })
  return { url, stop: async () => {} }
}

async function startRedis(folder: string): Promise<Redis> {
  if (spawnSync('redis-server', ['--version']).error) {
    throw new SettingsError(
      'redis-server: expected it in the PATH, found none. Install it (Debian, Ubuntu: apt install redis-server; ' +
        'macOS: brew install redis), or set REDIS_URL to a Redis that runs already (redis://localhost:6379).',
    )
  }
  const socket = path.join(folder, 'redis.sock')
  const settings = ['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', '']
  // In a group of its own, since a Ctrl+C would end it before the nodes have tidied up; and by a shell that ends it as soon
  // as its input does, which is seen also when this process is killed.
  const guard = spawn(
    '/bin/sh',
    ['-c', '"$@" & read -r _; kill $!; wait', 'sh', 'redis-server', ...settings],
    {
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
    },
  )
  const url = `unix://${socket}`
  await reach(url, 100)
  return {
    url,
    async stop() {
      const exit = once(guard, 'exit')
      guard.stdin.end()
      await exit
    },
  }
}

/** Resolves when a Redis answers, which is tried so many times more. */
async function reach(url: string, tries: number): Promise<void> {
  const client = createClient({ url, socket: { reconnectStrategy: done => (done < tries ? 100 : false) } })
  client.on('error', () => {})
  await client.connect()
  client.destroy()
}
