import { setTimeout as sleep } from 'node:timers/promises'
import { launch } from '../harness/process.js'
import { BELOW_BASELINE, compare, type Result } from '../harness/result.js'
import { BASELINE, type Contender, measure, type Server } from './contenders.js'
import type { Waits } from './poller.js'
import { gradioVisitors, type OpenPage, openPages, ourVisitors } from './visitors.js'

const COUNT = Number(process.env.COUNT ?? 1_000)
const ROUNDS = 2
/** Two heartbeat intervals of either. */
const SECONDS = Number(process.env.SECONDS ?? 30)

/** Pages of different users: what they cost while they are open, and what happens when all are closed at once. */
export async function pages(contenders: readonly [Contender, Contender]): Promise<Result[]> {
  const { ours, theirs } = await measure(contenders, ROUNDS, (server, round) =>
    round === 0 ? pagesOf(server, COUNT / 10, 1) : pagesOf(server, COUNT, SECONDS),
  )
  const count = COUNT.toLocaleString('en')
  const line = (metric: string, unit: string, which: keyof Figures, goal = BELOW_BASELINE) =>
    compare({
      metric,
      unit,
      ours: ours.map(figures => figures[which]),
      baseline: { name: BASELINE, rounds: theirs.map(figures => figures[which]) },
      goal,
    })
  return [
    line(`heartbeat: rss per open page, of ${count}`, 'B', 'rss'),
    line(`heartbeat: CPU per open page over ${SECONDS} s, of ${count}`, 'µs', 'cpu'),
    line(`storm: until the last unload hook of ${count} pages, without a delay`, 'ms', 'last'),
    line('storm: pages whose unload hook ran', 'pages', 'sessions', ALL),
    line('storm: unload hooks that ran', 'hooks', 'hooks', ALL),
    line('storm: p99 of a request every 10 ms', 'ms', 'p99'),
    line('storm: the longest of these requests', 'ms', 'longest'),
  ]
}

const ALL = { text: `all ${COUNT.toLocaleString('en')}, once`, isMet: (ours: number) => ours === COUNT }

interface Figures extends Waits {
  /** In bytes, for each page. */
  readonly rss: number
  /** In microseconds, for each page. */
  readonly cpu: number
  /** In milliseconds, from the moment the pages began to be closed. */
  readonly last: number
  readonly hooks: number
  readonly sessions: number
}

export async function pagesOf(server: Server, count: number, seconds: number): Promise<Figures> {
  const visitors = server.contender === 'ours' ? ourVisitors(server.port) : gradioVisitors(server.port)
  // Now everything that is loaded or created once exists.
  for (const page of await openPages(visitors, WARM)) page.close()
  await hooksOf(server, WARM)
  visitors.settle()
  const before = await server.usage()
  const open = await openPages(visitors, count)
  await sleep(CALM)
  const after = await server.usage()
  const start = await server.ask<number>('cpu')
  await sleep(seconds * 1_000)
  const cpu = (await server.ask<number>('cpu')) - start
  const storm = await stormOf(server, open)
  return { rss: (after.rss - before.rss) / count, cpu: (cpu * 1_000) / count, ...storm }
}

async function stormOf(server: Server, open: OpenPage[]): Promise<Omit<Figures, 'rss' | 'cpu'>> {
  const poller = await launch('gradio/poller')
  try {
    // Gradio's answers `false` too, once the app has started up (gradio/routes.py).
    const path = server.contender === 'ours' ? '/ping' : '/gradio_api/startup-events'
    await poller.ask('start', server.port, path)
    await sleep(CALM)
    await poller.ask('stop')
    await poller.ask('start', server.port, path)
    const closedAt = Date.now()
    for (const page of open) page.close()
    const [hooks] = await Promise.all([hooksOf(server, WARM + open.length), sleep(WATCHED)])
    const waits = await poller.ask<Waits>('stop')
    return {
      last: hooks.last - closedAt,
      hooks: hooks.hooks - WARM,
      sessions: hooks.sessions - WARM,
      ...waits,
    }
  } finally {
    await poller.stop()
  }
}

interface Hooks {
  readonly hooks: number
  readonly sessions: number
  readonly last: number
}

/** Resolves with the hooks that have run, when there are `count` of them or after a time limit. */
async function hooksOf(server: Server, expected: number): Promise<Hooks> {
  const until = Date.now() + LONGEST
  let hooks = await server.ask<Hooks>('unloads')
  while (hooks.hooks < expected && Date.now() < until) {
    await sleep(200)
    hooks = await server.ask<Hooks>('unloads')
  }
  // Wait for hooks that run a second time.
  await sleep(CALM)
  return server.ask<Hooks>('unloads')
}

/** Pages that are opened before those that are measured. */
const WARM = 50
/** How long to wait for pending work, in milliseconds. */
const CALM = 1_000
/** The minimum time of polling, so that the p99 is computed from the same number of requests for both. */
const WATCHED = 3_000
/** Time limit for the hooks. */
const LONGEST = 60_000
