import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { chown, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client, type ClientConfig } from 'pg'
import { guardedServer, type TestServer } from './guarded-server.ts'

export interface PostgresServer extends TestServer {
  /** The address for clients of `pg`. */
  readonly address: ClientConfig
}

/** A separate PostgreSQL, started. Committed data survives a kill. */
export async function postgresServer(): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'gradio-state-postgres-'))
  // It refuses to run as root; Debian's package makes this user.
  const user = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : undefined
  if (user !== undefined) await chown(folder, user.uid, user.gid)
  const programs = programsFolder()
  const data = join(folder, 'data')
  await promisify(execFile)(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'test', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { cwd: '/', ...user },
  )
  const settings = {
    listen_addresses: '',
    unix_socket_directories: folder,
    shared_buffers: '16MB',
    // A kill of the process loses nothing that the system has received; only a failure of the machine would.
    fsync: 'off',
    timezone: 'UTC',
  }
  const address = { host: folder, user: 'test', database: 'postgres' }
  const server = guardedServer({
    command: [
      join(programs, 'postgres'),
      '-D',
      data,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    folder,
    // To PostgreSQL this is a crash of all its processes; after SIGKILL, some of them would linger for a while.
    signal: 'QUIT',
    user,
    async ask() {
      const client = new Client(address)
      client.on('error', () => {})
      await client.connect()
      await client.end()
    },
  })
  await server.start()
  return { ...server, address }
}

const idOf = (option: '-u' | '-g') => Number(execFileSync('id', [option, 'postgres'], { encoding: 'utf8' }))

/** Debian doesn't put them into the path, but into a folder per major version. */
function programsFolder(): string {
  const root = '/usr/lib/postgresql'
  const found = readdirSync(root)
    .sort((a, b) => Number(b) - Number(a))
    .map(version => join(root, version, 'bin'))
    .find(folder => existsSync(join(folder, 'postgres')))
  if (found === undefined) throw new Error(`Expected a PostgreSQL below ${root}: apt-get install postgresql`)
  return found
}
