import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createClient } from 'redis'
import { SettingsError } from './settings.ts'

export interface Redis {
  url: string
  stop(): Promise<void>
}

/** Connects to the Redis server at `url`. Without a URL, starts one for this demo, with its socket in `folder`. */
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
  // In its own process group, since Ctrl+C would stop it before the nodes have cleaned up. The shell stops it when its
  // input closes, which also happens when this process is killed.
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

/** Resolves when Redis answers. Retries up to `tries` times. */
async function reach(url: string, tries: number): Promise<void> {
  const client = createClient({ url, socket: { reconnectStrategy: done => (done < tries ? 100 : false) } })
  client.on('error', () => {})
  await client.connect()
  client.destroy()
}
