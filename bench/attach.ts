import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gradioState } from 'gradio-state'
import { compare, type Result, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'

type Middleware = (req: IncomingMessage, res: ServerResponse, next: () => void) => void

const REQUESTS = 200_000
const ROUNDS = 15
const GOAL = upTo(1, 'µs')

export async function run(): Promise<Result[]> {
  const gradio = gradioState()
  const empty: Middleware = (_req, _res, next) => next()
  const { ours, theirs } = await inTurns(ROUNDS, {
    ours: () => cost(gradio),
    theirs: () => cost(empty),
  })
  await gradio.close()
  return [
    compare({
      metric: 'CPU per request that does not touch its session',
      unit: 'µs',
      // Creating the request is not a cost of the middleware.
      ours: ours.map((figure, round) => figure - (theirs[round] as number)),
      goal: GOAL,
    }),
    compare({
      metric: 'with making the request',
      unit: 'µs',
      ours,
      baseline: { name: 'an empty middleware', rounds: theirs },
    }),
  ]
}

/** In microseconds, of the CPU: with garbage collection, whichever thread does it. */
function cost(middleware: Middleware): number {
  const before = process.cpuUsage()
  let passed = 0
  const next = () => {
    passed++
  }
  for (let index = 0; index < REQUESTS; index++) {
    const req = { method: 'GET', url: '/', headers: HEADERS, socket: SOCKET }
    const res = Object.assign(new EventEmitter(), { headersSent: false, closed: false })
    middleware(req as unknown as IncomingMessage, res as unknown as ServerResponse, next)
    res.emit('close')
  }
  const { user, system } = process.cpuUsage(before)
  if (passed !== REQUESTS) throw new Error(`Expected all ${REQUESTS} requests to pass, got ${passed}`)
  return (user + system) / REQUESTS
}

const HEADERS = { host: 'localhost', cookie: 'theme=dark' }
const SOCKET = { server: null }
