// Sends a cheap request to a server every 10 ms, no matter how long the responses take, to measure how long the server's event
// loop is blocked. Runs in a process of its own, whose event loop does nothing else.

import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { answering } from '../harness/process.js'
import { quantile } from '../harness/statistics.js'

/** Answer times in milliseconds. */
export interface Waits {
  readonly p99: number
  readonly longest: number
}

const INTERVAL = 10

const agent = new Agent({ keepAlive: true })
let timer: NodeJS.Timeout | undefined
let waits: Promise<number>[] = []

answering({
  start(port: number, path: string) {
    waits = []
    timer = setInterval(() => waits.push(waitFor(port, path)), INTERVAL)
  },
  async stop(): Promise<Waits> {
    clearInterval(timer)
    const times = await Promise.all(waits)
    return { p99: quantile(times, 0.99), longest: Math.max(...times) }
  },
})

async function waitFor(port: number, path: string): Promise<number> {
  const start = performance.now()
  const [res] = (await once(request({ host: '127.0.0.1', port, path, agent }).end(), 'response')) as [
    IncomingMessage,
  ]
  await res.toArray()
  if (res.statusCode !== 200) throw new Error(`Expected 200 from ${path}, got ${res.statusCode}`)
  return performance.now() - start
}
