import { setTimeout as sleep } from 'node:timers/promises'
import type { Manner } from './client-page.js'
import { launch } from './harness/process.js'
import { compare, type Goal, type Result, ratioUpTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'
import type { Received } from './page-clients.js'
import { HEARTBEAT, type PageServerName } from './page-servers.js'

const PAGES = Number(process.env.COUNT ?? 10_000)
const ROUNDS = Number(process.env.ROUNDS ?? 2)
/** How many heartbeats of each page are measured, after one for warm-up. */
const BEATS = 6
/**
 * Pages that are opened before the measurement, so that what is created or compiled once doesn't count. V8 keeps compiling for the
 * first few thousand.
 */
const BEFORE = 2_000

const GOALS: Readonly<
  Record<Exclude<PageServerName, 'gradio-state'>, Partial<Record<keyof PageCost, Goal>>>
> = {
  'a bare event stream': { memory: ratioUpTo(0.85), cpu: ratioUpTo(1) },
  'better-sse': { memory: ratioUpTo(0.32) },
  'Socket.IO': { memory: ratioUpTo(0.45) },
  'a bare upgraded socket': {},
}

export async function run(): Promise<Result[]> {
  const baselines = Object.keys(GOALS) as (keyof typeof GOALS)[]
  // Without a warm-up round: each process has its own warm-up.
  const measure = (name: PageServerName) => (round: number) => (round === 0 ? NOTHING : costOf(name, PAGES))
  const costs = await inTurns(ROUNDS, {
    'gradio-state': measure('gradio-state'),
    'a bare event stream': measure('a bare event stream'),
    'better-sse': measure('better-sse'),
    'Socket.IO': measure('Socket.IO'),
    'a bare upgraded socket': measure('a bare upgraded socket'),
  })
  const line = (metric: string, unit: string, figure: keyof PageCost, name: keyof typeof GOALS) => {
    const goal = GOALS[name][figure]
    return compare({
      metric,
      unit,
      ours: costs['gradio-state'].map(cost => cost[figure]),
      baseline: { name, rounds: costs[name].map(cost => cost[figure]) },
      ...(goal && { goal }),
    })
  }
  const pages = `${PAGES.toLocaleString('en')} open pages`
  return [
    ...baselines.map(name => line(`${pages}: memory of each`, 'B', 'memory', name)),
    ...baselines.map(name => line(`${pages}: CPU of a heartbeat`, 'µs', 'cpu', name)),
  ]
}

/** What one open page costs its server. */
export interface PageCost {
  /** Bytes in the heap and outside of it, after a garbage collection. */
  readonly memory: number
  /** Microseconds from one heartbeat to the next. */
  readonly cpu: number
}

const NOTHING: PageCost = { memory: 0, cpu: 0 }

/** Opens a number of pages. With gradio-state, each belongs to a separate user with a session. */
export async function costOf(name: PageServerName, count: number): Promise<PageCost> {
  const server = await launch('pages-process', [name])
  const clients = await launch('page-clients')
  try {
    const open = (count: number) => clients.ask('open', server.ready, MANNERS[name], count)
    const received = () => clients.ask<Received>('received')
    await open(BEFORE)
    while ((await received()).fewest < 1) await sleep(100)
    const before = await server.usage()
    await open(count)
    while ((await received()).fewest < 1) await sleep(100)
    // Otherwise, garbage from opening the pages would be collected during the measurement.
    await server.usage()
    const all = BEFORE + count
    const [receivedBefore, cpuBefore] = [await received(), await server.ask<number>('cpu')]
    await sleep(BEATS * HEARTBEAT * 1_000)
    const [cpuAfter, receivedAfter] = [await server.ask<number>('cpu'), await received()]
    expectAll(
      all,
      receivedAfter.beats - receivedBefore.beats,
      receivedAfter.open,
      await server.ask<number>('pages'),
    )
    const after = await server.usage()
    return {
      memory: (after.heap + after.external - before.heap - before.external) / count,
      cpu: ((cpuAfter - cpuBefore) * 1_000) / (all * BEATS),
    }
  } finally {
    await Promise.all([clients.stop(), server.stop()])
  }
}

const MANNERS: Readonly<Record<PageServerName, Manner>> = {
  'gradio-state': 'gradio-state',
  'a bare event stream': 'stream',
  'better-sse': 'stream',
  'Socket.IO': 'socket.io',
  'a bare upgraded socket': 'upgrade',
}

/** Checks that no page and no heartbeat was dropped. */
function expectAll(count: number, beats: number, open: number, counted: number): void {
  if (open !== count || counted !== count)
    throw new Error(`Expected ${count} open pages, got ${open} at the clients and ${counted} at the server`)
  const each = beats / count
  if (Math.abs(each - BEATS) > 0.1 * BEATS)
    throw new Error(`Expected ${BEATS} beats of each page, got ${each}`)
}
