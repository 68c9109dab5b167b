import { cp, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { guardedServer, type TestServer } from './guarded-server.ts'

/** A Redis on TCP, as in a cluster. */
export interface RedisNode extends TestServer {
  readonly port: number
  /** The address for the other nodes of a cluster. */
  readonly bus: number
  readonly url: string
  forget(): Promise<void>
  /** Records its data; `restore`, while it is stopped, drops everything after that. */
  save(): Promise<{ restore(): Promise<void> }>
}

export interface RedisCluster {
  readonly nodes: readonly RedisNode[]
  readonly ports: readonly number[]
  remove(): Promise<void>
}

/** A separate Redis on a TCP port, started. Acknowledged writes survive a kill. */
export async function redisNode(settings: Readonly<Record<string, string>> = {}): Promise<RedisNode> {
  const folder = await mkdtemp(join(tmpdir(), 'gradio-state-redis-'))
  const { port, bus } = await freePorts()
  const all: Record<string, string> = {
    bind: '127.0.0.1',
    port: String(port),
    dir: folder,
    save: '',
    appendonly: 'yes',
    appendfsync: 'always',
    ...(settings['cluster-enabled'] === 'yes' && { 'cluster-port': String(bus) }),
    ...settings,
  }
  const server = guardedServer({
    command: [
      process.env.REDIS_SERVER_PATH ?? 'redis-server',
      ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]),
    ],
    folder,
    signal: 'KILL',
    ask: () => ask(port, ['PING']),
  })
  await server.start()
  return {
    ...server,
    port,
    bus,
    url: `redis://127.0.0.1:${port}`,
    forget: () => rm(join(folder, 'appendonlydir'), { recursive: true, force: true }),
    async save() {
      const data = join(folder, 'appendonlydir')
      const copy = join(folder, 'saved')
      // Everything is in the files before it is acknowledged, and the last command may be cut off.
      await cp(data, copy, { recursive: true })
      return {
        async restore() {
          await rm(data, { recursive: true, force: true })
          await cp(copy, data, { recursive: true })
        },
      }
    },
  }
}

/** Three masters that share the slots, started and in agreement. */
export async function redisCluster(): Promise<RedisCluster> {
  const nodes: RedisNode[] = []
  const remove = async () => void (await Promise.all(nodes.map(node => node.remove())))
  try {
    for (let i = 0; i < MASTERS; i++) nodes.push(await redisNode({ 'cluster-enabled': 'yes' }))
    const ports = nodes.map(({ port }) => port)
    for (const [index, port] of ports.entries()) {
      const first = Math.floor((SLOTS * index) / MASTERS)
      const last = Math.floor((SLOTS * (index + 1)) / MASTERS) - 1
      await ask(port, ['CLUSTER', 'ADDSLOTSRANGE', String(first), String(last)])
      // Otherwise all start with the same epoch, and have to resolve conflicts first.
      await ask(port, ['CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1)])
    }
    for (const { port, bus } of nodes) {
      if (port !== ports[0]) await ask(ports[0]!, ['CLUSTER', 'MEET', '127.0.0.1', String(port), String(bus)])
    }
    await Promise.all(ports.map(agreed))
    return { nodes, ports, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Resolves when this master knows that all slots are served, and by which masters. */
async function agreed(port: number): Promise<void> {
  const giveUp = performance.now() + 120_000
  for (;;) {
    const info = String(await ask(port, ['CLUSTER', 'INFO']))
    const nodes = /cluster_known_nodes:(\d+)/.exec(info)?.[1]
    if (info.includes('cluster_state:ok') && Number(nodes) === MASTERS) return
    if (performance.now() > giveUp) throw new Error(`Expected a cluster within 120 s, got:\n${info}`)
    await sleep(50)
  }
}

async function ask(port: number, command: string[]): Promise<unknown> {
  const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: false } })
  client.on('error', () => {})
  await client.connect()
  try {
    return await client.sendCommand(command)
  } finally {
    client.destroy()
  }
}

/** Two unused ports; the default bus port, 10000 above, may not exist. */
async function freePorts(): Promise<{ port: number; bus: number }> {
  const servers = [createServer(), createServer()]
  const [port, bus] = await Promise.all(
    servers.map(
      server =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
        }),
    ),
  )
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return { port: port!, bus: bus! }
}

const MASTERS = 3
const SLOTS = 16_384
