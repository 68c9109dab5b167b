import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { guardedServer, type TestServer } from '../servers/guarded-server.ts'
import { assertEmpty, leftovers } from './event-checks.ts'
import { ClusterPage } from './node-page.ts'
import type { ClusterEvent, NodeSettings, RedisAt } from './types.ts'

/** A response of a node. */
export interface Reply {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: what is in it is the route's to say
  readonly body: any
}

/** A node that runs in a separate process. */
export interface ClusterNode {
  readonly name: string
  readonly port: number
  /** Sends a signal to its process, without handling its exit. */
  signal(name: NodeJS.Signals): void
  /** The events of its hooks and callbacks, even if it is dead. */
  events(): ClusterEvent[]
  /** @param patience how long it may take, in milliseconds */
  open(user: string, page: string, patience?: number): Promise<ClusterPage>
  ask(method: 'GET' | 'POST', path: string, user?: string): Promise<Reply>
  remove(): Promise<void>
}

/** Nodes that share one Redis, and the events of all of them. */
export interface Cluster {
  readonly nodes: readonly ClusterNode[]
  /** One of them, at random; never one of `others`. */
  any(...others: ClusterNode[]): ClusterNode
  events(): ClusterEvent[]
  /**
   * Waits until the nodes' events satisfy a condition. The error says what didn't.
   * @param seconds how long it may take on an idle machine; it gets three times as long
   */
  until(fits: (events: ClusterEvent[]) => boolean, seconds: number, what?: string): Promise<void>
  /**
   * Waits until Redis contains nothing of any session. A hook's last event is written before Redis is notified that its work is
   * done, so a node that is killed in between leaves the rest to others.
   */
  untilEmpty(): Promise<void>
  remove(): Promise<void>
}

/** Starts nodes in processes that end with this one, even if they are paused. */
export async function startNodes(
  redisAt: RedisAt,
  options: NodeSettings['options'],
  count = 3,
  prefix = `cluster-${Math.random().toString(36).slice(2)}`,
): Promise<Cluster> {
  const names = Array.from({ length: count }, (_, index) => 'ABCDEFGH'.charAt(index))
  const begun = await Promise.allSettled(names.map(name => start(name, { redisAt, options, prefix })))
  const nodes = begun.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []))
  const remove = async () => void (await Promise.all(nodes.map(node => node.remove())))
  const failed = begun.find(each => each.status === 'rejected')
  if (failed !== undefined) {
    await remove()
    throw failed.reason
  }
  const events = () => nodes.flatMap(node => node.events()).sort((one, other) => one.at - other.at)
  return {
    nodes,
    any(...others) {
      const rest = nodes.filter(node => !others.includes(node))
      return rest[Math.floor(Math.random() * rest.length)]!
    },
    events,
    async until(fits, seconds, what = String(fits)) {
      const patience = 3 * seconds
      const giveUp = performance.now() + patience * 1000
      while (!fits(events())) {
        if (performance.now() > giveUp) throw new Error(`Expected within ${patience} s: ${what}`)
        await sleep(100)
      }
    },
    async untilEmpty() {
      const urls = 'url' in redisAt ? [redisAt.url] : redisAt.ports.map(port => `redis://127.0.0.1:${port}`)
      const giveUp = performance.now() + 90_000
      for (const url of urls) {
        while ((await leftovers(url)).length > 0) {
          if (performance.now() > giveUp) await assertEmpty(url)
          await sleep(100)
        }
      }
    },
    remove,
  }
}

async function start(name: string, settings: Omit<NodeSettings, 'name' | 'folder'>): Promise<ClusterNode> {
  const folder = await mkdtemp(join(tmpdir(), 'gradio-state-node-'))
  const all: NodeSettings = { name, folder, ...settings }
  const address = join(folder, 'address')
  const entry = join(folder, 'node.mjs')
  program ??= bundle()
  await writeFile(entry, await program)
  const server: TestServer = guardedServer({
    command: [process.execPath, '--enable-source-maps', entry, JSON.stringify(all)],
    folder,
    signal: 'KILL',
    async ask() {
      if (!existsSync(address)) throw new Error(`not yet: ${readIfThere(join(folder, 'log')).slice(-2_000)}`)
    },
  })
  try {
    await server.start()
  } catch (error) {
    await server.remove()
    throw error
  }
  const { port, pid } = JSON.parse(readFileSync(address, 'utf8')) as { port: number; pid: number }
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const log = tail(join(folder, 'events'))
  return {
    name,
    port,
    signal: signal => void process.kill(pid, signal),
    events: log,
    open: (user, page, patience) => ClusterPage.open(port, user, page, patience),
    ask: (method, path, user) => ask(agent, port, method, path, user),
    async remove() {
      log()
      agent.destroy()
      await server.remove()
    },
  }
}

/** Reads a log repeatedly, parses each line once, and keeps it after the file was deleted. */
function tail(path: string): () => ClusterEvent[] {
  const events: ClusterEvent[] = []
  let read = 0
  return () => {
    const bytes = Buffer.from(readIfThere(path))
    const end = bytes.lastIndexOf(10) + 1
    for (const line of bytes.subarray(read, Math.max(end, read)).toString().split('\n')) {
      if (line !== '') events.push(JSON.parse(line) as ClusterEvent)
    }
    read = Math.max(end, read)
    return events
  }
}

function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function ask(agent: Agent, port: number, method: string, path: string, user?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = user === undefined ? {} : { 'X-User': user }
    const asked = request({ agent, host: '127.0.0.1', port, method, path, headers }, res => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const isJson = res.headers['content-type']?.includes('json')
        resolve({ status: res.statusCode ?? 0, body: isJson ? JSON.parse(text) : text })
      })
    })
    asked.setTimeout(60_000, () => asked.destroy(new Error(`Expected an answer to ${path} within 60 s`)))
    asked.on('error', reject)
    asked.end()
  })
}

let program: Promise<string> | undefined

/** The node's program in one bundle, which starts in a fraction of the time: a test starts many at once. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('node-process.ts', import.meta.url))],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    sourcemap: 'inline',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
  })
  return outputFiles[0]!.text
}
