import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
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

/** A Redis whose time stands still. */
export interface StillRedisServer extends RedisServer {
  /** The result of its `TIME`: whole milliseconds since the epoch. */
  time: number
}

/** A separate Redis, started. Acknowledged writes survive a kill. */
export async function redisServer(): Promise<RedisServer> {
  const server = await prepared()
  await server.start()
  return server
}

/**
 * Like {@link redisServer}, but a test sets its time, and it stores nothing on disk. Its timeouts use
 * another clock, and are unaffected.
 */
export async function stillRedisServer(time = Date.UTC(2026, 0, 1)): Promise<StillRedisServer> {
  // In memory, since libfaketime reads the file each time the time is requested.
  const folder = await newFolder(existsSync('/dev/shm') ? '/dev/shm' : undefined)
  const file = join(folder, 'time')
  const set = (ms: number) => {
    // Renamed, as Redis may read it at any time.
    writeFileSync(`${file}.new`, timestamp(ms))
    renameSync(`${file}.new`, file)
    time = ms
  }
  set(time)
  const server = await prepared(
    folder,
    [
      'env',
      // Without libc's malloc first, that of Redis (jemalloc) requests the time before libfaketime is ready, and hangs.
      `LD_PRELOAD=${libfaketime()} libc.so.6`,
      `FAKETIME_TIMESTAMP_FILE=${file}`,
      'FAKETIME_NO_CACHE=1',
      'FAKETIME_DONT_FAKE_MONOTONIC=1',
      'TZ=UTC',
    ],
    { appendonly: 'no' },
  )
  const start = async () => {
    await server.start()
    await forgetSharedMemory(server.socket)
  }
  await start()
  return {
    ...server,
    start,
    get time() {
      return time
    },
    set time(ms) {
      set(ms)
    },
  }
}

async function newFolder(parent = tmpdir()): Promise<string> {
  return mkdtemp(join(parent, 'gradio-state-redis-'))
}

/** @param before what precedes the command */
async function prepared(
  folder?: string,
  before: readonly string[] = [],
  other: Readonly<Record<string, string>> = {},
): Promise<RedisServer> {
  const home = folder ?? (await newFolder())
  const socket = join(home, 'socket')
  const settings = {
    port: '0',
    unixsocket: socket,
    dir: home,
    databases: '64',
    save: '',
    appendonly: 'yes',
    appendfsync: 'always',
    ...other,
  }
  const server = guardedServer({
    command: [
      ...before,
      process.env.REDIS_SERVER_PATH ?? 'redis-server',
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ],
    folder: home,
    signal: 'KILL',
    ask: () => ask(socket),
  })
  return {
    ...server,
    socket,
    forget: () => rm(join(home, 'appendonlydir'), { recursive: true, force: true }),
  }
}

async function ask(socket: string, command = ['PING']): Promise<unknown> {
  const client = createClient({ socket: { path: socket, tls: false, reconnectStrategy: false } })
  client.on('error', () => {})
  await client.connect()
  try {
    return await client.sendCommand(command)
  } finally {
    client.destroy()
  }
}

/**
 * In libfaketime's format: a time without an `@` before it stands still. It is parsed as a floating point number, and
 * truncated; half a millisecond more keeps whole milliseconds whole.
 */
function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().replace('T', ' ').replace('Z', '500')}\n`
}

function libfaketime(): string {
  const given = process.env.LIBFAKETIME_PATH
  if (given !== undefined) return given
  const folders = readdirSync('/usr/lib').map(name => `/usr/lib/${name}/faketime/libfaketime.so.1`)
  const found = folders.find(path => existsSync(path))
  if (found === undefined) throw new Error('Expected libfaketime. Run: node scripts/setup-tests.mjs')
  return found
}

/** libfaketime creates some for child processes, which don't exist here, and a killed process leaves them behind. */
async function forgetSharedMemory(socket: string): Promise<void> {
  const pid = /process_id:(\d+)/.exec(String(await ask(socket, ['INFO', 'server'])))?.[1]
  for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`])
    await rm(join('/dev/shm', name), { force: true })
}
