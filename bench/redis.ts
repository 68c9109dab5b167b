import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Queue, Worker } from 'bullmq'
import { gradioState, type RequestState } from 'gradio-state'
import { redis as redisCluster } from 'gradio-state/redis'
import { createClient } from 'redis'
import { compare, type Result } from './harness/result.js'
import { inTurns } from './harness/turns.js'

const SESSIONS = Number(process.env.COUNT ?? 20_000)
/** How many start at the same time. */
const PARALLEL = 256
/** How long after its request a session ends, and a job is due. */
const DELAY = 1_000

const ROUNDS = Number(process.env.ROUNDS ?? 3)

export async function run(): Promise<Result[]> {
  const server = await redisServer()
  try {
    const figures = await inTurns(ROUNDS, {
      request: () => lives(server, library),
      page: () => lives(server, server => library(server, true)),
      job: () => lives(server, jobs),
    })
    return [
      ...compared('a session of one request', figures.request, figures.job),
      ...compared('a session of one request and one page', figures.page, figures.job),
      ...(await single(server)),
    ]
  } finally {
    await server.stop()
  }
}

/** The cost of one. */
const UNITS = {
  'time until it has begun, many at once': 'µs',
  'time until it has begun and ended, many at once': 'µs',
  'calls to Redis': 'calls',
  'CPU of Redis': 'µs',
  'CPU of Node': 'µs',
} as const
type Figures = Record<keyof typeof UNITS, number>

function compared(name: string, ours: Figures[], jobs: Figures[]): Result[] {
  return Object.entries(UNITS).map(([figure, unit]) =>
    compare({
      metric: `${name}: ${figure}`,
      unit,
      ours: ours.map(each => each[figure as keyof Figures]),
      baseline: { name: 'a delayed job of BullMQ', rounds: jobs.map(each => each[figure as keyof Figures]) },
    }),
  )
}

/** A contender: `begin` starts one session or job, and `ended` counts those that have ended. */
interface Contender {
  begin(index: number): Promise<void>
  ended(): number
  close(): Promise<void>
}

async function lives(
  server: RedisServer,
  contend: (server: RedisServer) => Promise<Contender>,
): Promise<Figures> {
  const contender = await contend(server)
  const before = await server.usage()
  const cpu = process.cpuUsage()
  const begun = performance.now()
  let next = 0
  const beginAll = async () => {
    while (next < SESSIONS) await contender.begin(next++)
  }
  await Promise.all(Array.from({ length: PARALLEL }, beginAll))
  const all = performance.now()
  while (contender.ended() < SESSIONS) await sleep(5)
  const end = performance.now()
  const { user, system } = process.cpuUsage(cpu)
  const after = await server.usage()
  await contender.close()
  const each = (milliseconds: number) => (milliseconds / SESSIONS) * 1_000
  return {
    'time until it has begun, many at once': each(all - begun),
    'time until it has begun and ended, many at once': each(end - begun - DELAY),
    'calls to Redis': (after.calls - before.calls) / SESSIONS,
    'CPU of Redis': each(after.cpu - before.cpu),
    'CPU of Node': each((user + system) / 1_000),
  }
}

/** The cost of single operations, one after another. */
async function single(server: RedisServer): Promise<Result[]> {
  const site = await nodeOf(server)
  const counter = site.gradio.sharedState<number>('counter', { value: 0 })
  const { state, req } = await site.sendRequest('known')
  await counter.get(state)
  const socket = Object.assign(new EventEmitter(), { destroyed: false })
  const request = async () => {
    const { state, leave } = await site.sendRequest('known')
    state.get('value')
    leave()
  }
  const results = [
    ...(await cost(server, 'a request of a known session', request)),
    ...(await cost(server, 'get of a shared value', () => counter.get(state))),
    ...(await cost(server, 'set of a shared value', index => counter.set(state, index))),
    ...(await cost(server, 'update of a shared value', () => counter.update(state, count => count + 1))),
  ]
  site.gradio.track(req, socket)
  await sleep(100)
  results.push(...(await cost(server, 'a request while a page is at its node', request)))
  const idle = await cost(server, 'a second of a node with nothing to do', () => sleep(1_000), 15)
  results.push(...idle.slice(0, 2))
  socket.emit('close')
  await site.close()
  return results
}

async function cost(
  server: RedisServer,
  name: string,
  action: (index: number) => Promise<unknown>,
  count = 5_000,
): Promise<Result[]> {
  const before = await server.usage()
  const begun = performance.now()
  for (let index = 0; index < count; index++) await action(index)
  const time = performance.now() - begun
  const after = await server.usage()
  const row = (figure: string, unit: string, total: number) =>
    compare({ metric: `${name}: ${figure}`, unit, ours: [total / count] })
  return [
    row('calls to Redis', 'calls', after.calls - before.calls),
    row('CPU of Redis', 'µs', (after.cpu - before.cpu) * 1_000),
    row('time', 'µs', time * 1_000),
  ]
}

async function library(server: RedisServer, hasPage = false): Promise<Contender> {
  const { gradio, sendRequest, close } = await nodeOf(server)
  let ended = 0
  gradio.unload(() => {})
  gradio.ended(() => {
    ended++
  })
  return {
    async begin(index) {
      const { state, req, leave } = await sendRequest(`user ${index}`)
      await state.establish()
      if (hasPage) {
        const socket = Object.assign(new EventEmitter(), { destroyed: false })
        gradio.track(req, socket)
        leave()
        socket.emit('close')
      }
      leave()
    },
    ended: () => ended,
    close,
  }
}

/** An instance, and requests to it without the cost of HTTP. */
async function nodeOf(server: RedisServer) {
  const client = createClient({ socket: { path: server.socket, tls: false } })
  client.on('error', () => {})
  await client.connect()
  const gradio = gradioState({
    cluster: redisCluster({ client, prefix: `bench-${++prefixes}` }),
    maxSessions: Number.POSITIVE_INFINITY,
    unloadDelay: 0,
    gracePeriod: DELAY / 1_000,
    identify: req => req.headers['x-user'] as string,
  })
  // The warning about sessions without pages would be printed within the table.
  process.removeAllListeners('warning')
  const sendRequest = async (user: string) => {
    const req = { method: 'GET', url: '/', headers: { 'x-user': user } } as unknown as IncomingMessage
    const res = Object.assign(new EventEmitter(), { headersSent: false, closed: false })
    await new Promise(next => gradio(req, res as unknown as ServerResponse, next))
    const { gradioState: state } = req as IncomingMessage & { gradioState: RequestState }
    return { req, state, leave: () => void res.emit('close') }
  }
  const close = async () => {
    await gradio.close()
    client.destroy()
  }
  return { gradio, sendRequest, close }
}

let prefixes = 0

async function jobs(server: RedisServer): Promise<Contender> {
  const connection = { path: server.socket, maxRetriesPerRequest: null }
  const queue = new Queue('ends', { connection })
  let ended = 0
  const worker = new Worker(
    'ends',
    async () => {
      ended++
    },
    { connection, concurrency: PARALLEL },
  )
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()])
  return {
    async begin(index) {
      await queue.add(
        'end',
        { session: index },
        { delay: DELAY, jobId: `job-${index}`, removeOnComplete: true },
      )
    },
    ended: () => ended,
    async close() {
      await worker.close()
      await queue.close()
    },
  }
}

interface RedisServer {
  readonly socket: string
  /** Scripts and blocking reads so far, which are calls from outside, and milliseconds of CPU. */
  usage(): Promise<{ calls: number; cpu: number }>
  stop(): Promise<void>
}

async function redisServer(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'gradio-state-bench-'))
  const socket = join(folder, 'socket')
  const settings = [
    '--port',
    '0',
    '--unixsocket',
    socket,
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'no',
  ]
  const server = spawn('redis-server', settings, { stdio: 'ignore' })
  const stop = async () => {
    server.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  }
  process.once('exit', () => server.kill('SIGKILL'))
  const client = createClient({ socket: { path: socket, tls: false, reconnectStrategy: 20 } })
  client.on('error', () => {})
  await client.connect()
  return {
    socket,
    async usage() {
      const stats = await client.info('commandstats')
      const outer = [...stats.matchAll(/cmdstat_(?:evalsha|eval|bzpopmin):calls=(\d+)/g)]
      const cpu = /used_cpu_sys:([\d.]+)[\s\S]*used_cpu_user:([\d.]+)/.exec(await client.info('cpu'))
      return {
        calls: outer.reduce((sum, [, calls]) => sum + Number(calls), 0),
        cpu: (Number(cpu?.[1]) + Number(cpu?.[2])) * 1_000,
      }
    },
    async stop() {
      client.destroy()
      await stop()
    },
  }
}
