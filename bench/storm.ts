import { setTimeout as sleep } from 'node:timers/promises'
import { launch } from './harness/process.js'
import { compare, type Goal, type Result, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'
import type { Storming, StormServerName, Unloads } from './storm-process.js'

const PAGES = Number(process.env.COUNT ?? 10_000)
const ROUNDS = 3

/** How the pages close, and when their unload is due: later after a broken socket, since the page may reconnect. */
const WAYS = {
  goodbye: { text: 'that say goodbye', delay: 2_000 },
  break: { text: 'whose sockets break', delay: 3_500 },
} as const
type Way = keyof typeof WAYS

export async function run(): Promise<Result[]> {
  const results: Result[] = []
  for (const way of ['goodbye', 'break'] as const) {
    const { ours, theirs } = await inTurns(ROUNDS, {
      ours: () => stormOf('gradio-state', way, PAGES),
      theirs: () => stormOf('ws', way, PAGES),
    })
    const pages = `${PAGES.toLocaleString('en')} pages ${WAYS[way].text}`
    const line = (metric: string, unit: string, figure: keyof Storm, goal?: Goal) =>
      compare({
        metric: `${pages}: ${metric}`,
        unit,
        ours: ours.map(storm => storm[figure]),
        baseline: { name: 'ws and a setTimeout each', rounds: theirs.map(storm => storm[figure]) },
        ...(goal && { goal }),
      })
    results.push(
      line('unload hooks, each once', 'hooks', 'hooks', ALL),
      line('the last hook, after it was due', 'ms', 'late', upTo(2_000, 'ms')),
      line("event loop's delay, p99", 'ms', 'p99', upTo(50, 'ms')),
      line("event loop's delay, longest", 'ms', 'longest'),
      line('CPU of each', 'µs', 'cpu'),
    )
  }
  return results
}

const ALL: Goal = { text: 'all of them', isMet: hooks => hooks === PAGES }

/** The figures when all pages close at once. */
export interface Storm {
  /** The unload hooks that ran, counted once per user. */
  readonly hooks: number
  /** Milliseconds from when the hook of the first closed page was due, to the end of the last hook. */
  readonly late: number
  /** The longest delay of the event loop, from before the first page closes to the end of the last hook; milliseconds. */
  readonly p99: number
  readonly longest: number
  /** For each page, from its close to its hook; microseconds. */
  readonly cpu: number
}

/** Opens that many pages, each of a different user, and closes them all. */
export async function stormOf(name: StormServerName, way: Way, count: number): Promise<Storm> {
  const { delay } = WAYS[way]
  const server = await launch('storm-process', [name, String(delay)])
  const clients = await launch('page-clients')
  try {
    await clients.ask('open', server.ready, name === 'ws' ? 'upgrade' : name, count)
    // Pending work from opening the pages doesn't count.
    await sleep(1_000)
    await server.ask('watch')
    const over = server.ask<Storming>('storm', count)
    const begun = await clients.ask<number>('close', way)
    const storming = await Promise.race([over, sleep(delay + LIMIT)])
    if (storming === undefined) throw new Error(`Expected all hooks to run, got ${await said(server)}`)
    // A hook that runs twice would have done so by now.
    await sleep(1_000)
    const unloads = await server.ask<Unloads>('unloads')
    if (unloads.runs !== count || unloads.users !== count)
      throw new Error(`Expected ${count} hooks of as many users, got ${await said(server)}`)
    return {
      hooks: unloads.users,
      late: unloads.last - begun - delay,
      p99: storming.p99,
      longest: storming.longest,
      cpu: (storming.cpu * 1_000) / count,
    }
  } finally {
    await Promise.all([clients.stop(), server.stop()])
  }
}

async function said(server: Awaited<ReturnType<typeof launch>>): Promise<string> {
  return JSON.stringify(await server.ask<Unloads>('unloads'))
}

/** How long to wait for missing hooks, in milliseconds. */
const LIMIT = 60_000
