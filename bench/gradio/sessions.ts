import { setTimeout as sleep } from 'node:timers/promises'
import type { Usage } from '../harness/process.js'
import { BELOW_BASELINE, compare, type Result } from '../harness/result.js'
import { BASELINE, type Contender, measure, type Server } from './contenders.js'

type Contenders = readonly [Contender, Contender]

const COUNT = Number(process.env.COUNT ?? 100_000)
/** tracemalloc makes Gradio four times slower, and adds to its rss: so it is a measurement of its own. */
const TRACED = Math.min(COUNT, 10_000)
const ROUNDS = 3
/** With that many sessions, Gradio takes long to begin them. */
const IDLE_ROUNDS = 2
const SECONDS = Number(process.env.SECONDS ?? 30)

/** Memory and CPU of sessions with one value, in which nothing happens. */
export async function sessions(contenders: Contenders): Promise<Result[]> {
  const traced = await measure(contenders, ROUNDS, server => heapOf(server, TRACED))
  const idle = await measure(contenders, IDLE_ROUNDS, (server, round) =>
    // Each server is new, so there is little to warm up.
    round === 0 ? idleOf(server, COUNT / 10, 1) : idleOf(server, COUNT, SECONDS),
  )
  const [traces, count] = [TRACED, COUNT].map(number => number.toLocaleString('en'))
  const line = (metric: string, unit: string, ours: number[], rounds: number[]) =>
    compare({ metric, unit, ours, baseline: { name: BASELINE, rounds }, goal: BELOW_BASELINE })
  const of = (which: keyof Idle) =>
    [idle.ours.map(figures => figures[which]), idle.theirs.map(figures => figures[which])] as const
  return [
    line(`memory: heap per idle session with one value, of ${traces}`, 'B', traced.ours, traced.theirs),
    line(`memory: rss per idle session with one value, of ${count}`, 'B', ...of('rss')),
    line(`idle: CPU over ${SECONDS} s with ${count} idle sessions`, 'ms', ...of('cpu')),
  ]
}

/** Bytes for each session, on the heap and beside it. */
export async function heapOf(server: Server, count: number): Promise<number> {
  await begin(server, WARM_UP, WARM_UP)
  if (server.contender === 'theirs') await server.ask('trace')
  const before = await usageOf(server)
  await begin(server, count, count + WARM_UP)
  const after = await usageOf(server)
  return (after.heap + after.external - before.heap - before.external) / count
}

/** Of the sessions together, the CPU time in milliseconds; of each, its bytes. */
interface Idle {
  readonly rss: number
  readonly cpu: number
}

export async function idleOf(server: Server, count: number, seconds: number): Promise<Idle> {
  await begin(server, WARM_UP, WARM_UP)
  const before = await usageOf(server)
  await begin(server, count, count + WARM_UP)
  const after = await usageOf(server)
  await sleep(CALM)
  const start = await server.ask<number>('cpu')
  await sleep(seconds * 1_000)
  const cpu = (await server.ask<number>('cpu')) - start
  return { rss: (after.rss - before.rss) / count, cpu }
}

/** What the first collection has finalized, the second one frees. */
async function usageOf(server: Server): Promise<Usage> {
  await server.usage()
  return server.usage()
}

async function begin(server: Server, count: number, expected: number): Promise<void> {
  const sessions = await server.ask<number>('begin', count)
  if (sessions !== expected) throw new Error(`Expected ${expected} sessions, got ${sessions}`)
}

/** What is made once has been made after so many. */
const WARM_UP = 1_000
/** Until what was begun is done, in milliseconds. */
const CALM = 2_000
