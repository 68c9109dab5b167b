import { load } from './harness/load.js'
import { type Launched, launch } from './harness/process.js'
import { compare, type Goal, type Result, ratioUpTo, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'

/** Two processes of the same program differ in the placement of their memory and compiled code. */
const LAUNCHES = Number(process.env.LAUNCHES ?? 6)
const ROUNDS = 5
const REQUESTS = Number(process.env.COUNT ?? 8_000)
const CONNECTIONS = 8

const BASELINE = 'Express 5 + express-session'

/** The figures of one contender, by round, in microseconds per request. */
interface Figures {
  readonly cpu: number[]
  readonly wall: number[]
  /** In kB per request, once for each launch. */
  readonly allocated: number[]
}

export async function run(): Promise<Result[]> {
  const all = { bare: none(), again: none(), empty: none(), mounted: none(), used: none() }
  for (let launches = 0; launches < LAUNCHES; launches++) await measure(all)
  const row = (metric: string, which: keyof Figures, figures: Figures, goal?: Goal) =>
    compare({
      metric,
      unit: which === 'allocated' ? 'kB' : 'µs',
      ours: figures[which],
      baseline: { name: BASELINE, rounds: all.bare[which] },
      ...(goal && { goal }),
    })
  return [
    row('CPU per request, session not touched', 'cpu', all.mounted, ratioUpTo(1.05)),
    row('CPU per request, one get and one set', 'cpu', all.used, ratioUpTo(1.1)),
    row('allocated per request, session not touched', 'allocated', all.mounted, ratioUpTo(1.05)),
    row('allocated per request, one get and one set', 'allocated', all.used, upTo(49, 'kB')),
    row('time per request, session not touched', 'wall', all.mounted),
    row('time per request, one get and one set', 'wall', all.used),
    row('CPU per request, with a middleware that does nothing', 'cpu', all.empty),
    row('CPU per request, the baseline against itself', 'cpu', all.again),
  ]
}

/** All contenders, each in a new process. */
async function measure(all: Record<'bare' | 'again' | 'empty' | 'mounted' | 'used', Figures>): Promise<void> {
  const contenders = {
    bare: await contender('bare'),
    again: await contender('bare'),
    empty: await contender('empty'),
    mounted: await contender('mounted'),
    used: await contender('used'),
  }
  const names = Object.keys(contenders) as (keyof typeof contenders)[]
  const turns = Object.fromEntries(names.map(name => [name, contenders[name].measure]))
  const rounds = await inTurns(ROUNDS, turns)
  for (const name of names) {
    for (const { cpu, wall } of rounds[name] ?? []) {
      all[name].cpu.push(cpu)
      all[name].wall.push(wall)
    }
    all[name].allocated.push(await contenders[name].allocation())
    await contenders[name].server.stop()
  }
}

async function contender(name: string) {
  const server = await launch('request-process', [name])
  const port = server.ready as number
  const login = await fetch(`http://127.0.0.1:${port}/login`)
  let cookie = cookiesOf(login)
  const request = { port, path: '/', requests: REQUESTS, connections: CONNECTIONS }
  // The first answer of a session may set a cookie of its own.
  const first = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie } })
  cookie = [cookie, cookiesOf(first)].filter(Boolean).join('; ')
  await load({ ...request, cookie })
  const send = () => load({ ...request, cookie })
  return { server, measure: () => cost(server, send), allocation: () => allocation(server, send) }
}

async function cost(server: Launched, action: () => Promise<void>): Promise<{ cpu: number; wall: number }> {
  const before = await server.ask<NodeJS.CpuUsage>('cpu')
  const begun = performance.now()
  await action()
  const wall = ((performance.now() - begun) / REQUESTS) * 1_000
  const after = await server.ask<NodeJS.CpuUsage>('cpu')
  return { cpu: (after.user - before.user + after.system - before.system) / REQUESTS, wall }
}

/** Measured outside of the rounds, since sampling takes CPU time. */
async function allocation(server: Launched, action: () => Promise<void>): Promise<number> {
  await server.ask('watchAllocation')
  await action()
  return (await server.ask<number>('allocated')) / REQUESTS / 1_000
}

function cookiesOf({ headers }: Response): string {
  return headers
    .getSetCookie()
    .map(cookie => cookie.split(';')[0])
    .join('; ')
}

function none(): Figures {
  return { cpu: [], wall: [], allocated: [] }
}
