import { setTimeout as sleep } from 'node:timers/promises'
import { launch } from './harness/process.js'
import { compare, type Goal, type Result, ratioUpTo, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'
import type { Back } from './restart-clients.js'
import type { RestartServerName, Seen } from './restart-process.js'

const PAGES = Number(process.env.COUNT ?? 10_000)
const ROUNDS = Number(process.env.ROUNDS ?? 5)

export async function run(): Promise<Result[]> {
  const { ours, theirs } = await inTurns(ROUNDS, {
    ours: () => restart('gradio-state'),
    theirs: () => restart('Socket.IO'),
  })
  const metric = (text: string) => `${PAGES.toLocaleString('en')} pages of a server that was killed: ${text}`
  const line = (text: string, unit: string, figure: keyof Restart, goal?: Goal) =>
    compare({
      metric: metric(text),
      unit,
      ours: ours.map(each => each[figure]),
      baseline: { name: 'Socket.IO', rounds: theirs.map(each => each[figure]) },
      ...(goal && { goal }),
    })
  const alone = (text: string, unit: string, figure: keyof Restart, goal: Goal) =>
    compare({ metric: metric(text), unit, ours: ours.map(each => each[figure]), goal })
  return [
    line('back', 'pages', 'back', ALL),
    alone('back in the session of their cookie', 'pages', 'together', ALL),
    alone('unload hooks that ran', 'hooks', 'unloads', upTo(0, 'hooks')),
    line('the last is back, after the server listens', 'ms', 'time', ratioUpTo(1)),
    line("event loop's delay, p99", 'ms', 'p99', upTo(50, 'ms')),
    line("event loop's delay, longest", 'ms', 'longest'),
    line('CPU of each', 'µs', 'cpu'),
  ]
}

const ALL: Goal = { text: 'all of them', isMet: pages => pages === PAGES }

interface Restart {
  readonly back: number
  /** The pages that are in the session that their browser's cookie leads to, and are the only page there. */
  readonly together: number
  readonly unloads: number
  /** Milliseconds. */
  readonly time: number
  readonly p99: number
  readonly longest: number
  /** For each page; microseconds. */
  readonly cpu: number
}

/** Opens the pages, each of a different user, kills their server, and starts it again on the same port. */
async function restart(name: RestartServerName): Promise<Restart> {
  const clients = await launch('restart-clients')
  const killed = await launch('restart-process', [name])
  const port = await killed.ask<number>('listen', 0)
  let server = killed
  try {
    await clients.ask('open', port, name === 'Socket.IO' ? 'socket.io' : name, PAGES)
    await expectPages(killed)
    await killed.stop()
    const over = sleep(DOWN)
    server = await launch('restart-process', [name])
    await over
    const since = Date.now()
    await server.ask('listen', port)
    const until = Date.now() + LIMIT
    let back = await clients.ask<Back>('back')
    while (back.open < PAGES && Date.now() < until) {
      await sleep(50)
      back = await clients.ask<Back>('back')
    }
    const seen = await server.ask<Seen>('seen')
    // By then, a page that was considered gone would have been unloaded.
    await sleep(5_000)
    const { pages, unloads } = await server.ask<Seen>('counts')
    return {
      back: Math.min(back.open, pages),
      together: name === 'gradio-state' ? await clients.ask<number>('together', port) : 0,
      unloads,
      time: back.last - since,
      p99: seen.p99,
      longest: seen.longest,
      cpu: (seen.cpu * 1_000) / PAGES,
    }
  } finally {
    await Promise.all([clients.stop(), server.stop()])
  }
}

async function expectPages(server: Awaited<ReturnType<typeof launch>>): Promise<void> {
  const { pages } = await server.ask<Seen>('counts')
  if (pages !== PAGES) throw new Error(`Expected ${PAGES} open pages, got ${pages}`)
}

/**
 * For how many milliseconds no server listens. It is the same for both, since pages wait longer after each failure, and doesn't
 * include the start of the process.
 */
const DOWN = 3_000
/** How long to wait for missing pages, in milliseconds. */
const LIMIT = 60_000
