// The demo on three nodes behind a load balancer without sticky sessions.

import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { createBalancer, type Target } from './balancer.ts'
import { openRedis } from './own-redis.ts'
import { readSettings, SettingsError } from './settings.ts'
import { whatHappens } from './start.ts'

const names = ['node-1', 'node-2', 'node-3']
const program = path.parse(process.argv[1] as string)
/** Compiled if this program is. */
const nodeProgram = path.join(program.dir, `cluster-node${program.ext}`)

/** Cleanup steps, run in reverse order at the end. */
const undo: (() => unknown)[] = []
let stopping: Promise<void> | undefined

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop(0))

try {
  const own = readSettings()
  const folder = await mkdtemp(path.join(tmpdir(), 'gradio-state-cluster-'))
  undo.push(() => rm(folder, { recursive: true, force: true }))
  const redis = await openRedis(process.env.REDIS_URL, folder)
  undo.push(() => redis.stop())

  const nodes: Node[] = []
  undo.push(() => Promise.all(nodes.map(stopNode)))
  const settings = {
    // The same on all nodes, so that each can verify the others' cookies.
    SESSION_SECRET: process.env.SESSION_SECRET || randomBytes(32).toString('base64url'),
    CACHE_DIR: process.env.CACHE_DIR || path.join(folder, 'cache'),
    REDIS_URL: redis.url,
    ENDS_WITH_REDIS: process.env.REDIS_URL ? '' : 'yes',
  }
  for (const name of names) nodes.push(startNode(name, settings))
  const targets = await Promise.all(nodes.map(({ ready }) => ready))

  const balancer = createBalancer(targets)
  const sockets = new Set<Socket>()
  balancer.on('connection', socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  undo.push(() => {
    balancer.close()
    // Includes WebSockets, which server.closeAllConnections() ignores.
    for (const socket of sockets) socket.destroy()
  })
  balancer.listen(own.port, own.host)
  await once(balancer, 'listening')
  console.log(`Listening on http://localhost:${(balancer.address() as AddressInfo).port}`)
  console.log(whatHappens(own))
} catch (error) {
  if (stopping === undefined) {
    const isKnown = error instanceof SettingsError || (error as NodeJS.ErrnoException).syscall
    console.error(isKnown ? (error as Error).message : error)
    stop(1)
  }
}

interface Node {
  readonly process: ChildProcess
  /** Where it listens. */
  readonly ready: Promise<Target>
}

/** Starts a node. Its output is printed here, prefixed with its name. */
function startNode(name: string, settings: Record<string, string>): Node {
  const child = fork(nodeProgram, {
    // In its own process group, so that Ctrl+C reaches only this process, which then stops the nodes in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...settings, NODE_NAME: name, HOST: '127.0.0.1', PORT: '0' },
  })
  console.log(`${name} is process ${child.pid}`)
  for (const [stream, say] of [
    [child.stdout, console.log],
    [child.stderr, console.error],
  ] as const) {
    if (stream) createInterface(stream).on('line', line => say(`${name} ${line}`))
  }
  child.once('exit', (code, signal) => {
    if (stopping === undefined) console.error(`${name} DIED ${signal ?? code}`)
    else if (code !== 0 && signal !== 'SIGTERM') process.exitCode = 1
  })
  const died = once(child, 'exit').then(() => {
    throw new SettingsError(`${name} has not started.`)
  })
  const listening = once(child, 'message').then(([message]) => message as Target)
  const ready = Promise.race([listening, died])
  // Not awaited if the app is stopped before all nodes have started.
  ready.catch(() => {})
  return { process: child, ready }
}

async function stopNode({ process: child }: Node): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  await closed
}

/** Stops the load balancer, then the nodes, then Redis. A second call does nothing. */
function stop(code: number): void {
  stopping ??= (async () => {
    for (const step of undo.reverse()) await step()
    process.exit(process.exitCode ?? code)
  })().catch(error => {
    console.error(error)
    process.exit(1)
  })
}
