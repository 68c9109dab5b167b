import { setTimeout as sleep } from 'node:timers/promises'
import type { Usage } from '../harness/process.js'
import { BELOW_BASELINE, compare, type Result } from '../harness/result.js'
import { BASELINE, type Contender, measure, type Server } from './contenders.js'

type Contenders = readonly [Contender, Contender]

const COUNT = Number(process.env.COUNT ?? 100_000)
/** tracemalloc makes Gradio four times slower and increases its rss, so it is used in a separate measurement. */
const TRACED = Math.min(COUNT, 10_000)
const ROUNDS = 3
/** Gradio takes long to start that many sessions. */
const IDLE_ROUNDS = 2
const SECONDS = Number(process.env.SECONDS ?? 30)

/** Memory and CPU time of idle sessions with one value. */
export async function sessions(contenders: Contenders): Promise<Result[]> {
  const traced = await measure(contenders, ROUNDS, server => heapOf(server, TRACED))
  const idle = await measure(contenders, IDLE_ROUNDS, (server, round) =>
    // No warm-up round: each server is a new process.
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

/** Bytes per session, on the heap and outside of it. */
export async function heapOf(server: Server, count: number): Promise<number> {
  await begin(server, WARM_UP, WARM_UP)
  if (server.contender === 'theirs') await server.ask('trace')
  const before = await usageOf(server)
  await begin(server, count, count + WARM_UP)
  const after = await usageOf(server)
  return (after.heap + after.external - before.heap - before.external) / count
}

/** The CPU time of all sessions together, in milliseconds, and the bytes of each. */
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

/** A second collection frees what the first one has finalized. */
async function usageOf(server: Server): Promise<Usage> {
  await server.usage()
  return server.usage()
}

async function begin(server: Server, count: number, expected: number): Promise<void> {
  const sessions = await server.ask<number>('begin', count)
  if (sessions !== expected) throw new Error(`Expected ${expected} sessions, got ${sessions}`)
}

/** After this many, everything that is created only once exists. */
const WARM_UP = 1_000
/** How long to wait for pending work, in milliseconds. */
const CALM = 2_000
