import { launch } from './harness/process.js'
import { BELOW_BASELINE, compare, type Result, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'

const COUNT = Number(process.env.COUNT ?? 1_000_000)
const ROUNDS = 3
const WARM_UP = 10_000

/** What happens when all values are due, in milliseconds. */
export interface Expiry {
  /** From the moment when they are due until the last callback has run. */
  readonly total: number
  /** The delay of the event loop meanwhile. */
  readonly p99: number
  readonly longest: number
}

export async function run(): Promise<Result[]> {
  const expiry = (contender: string) => (round: number) =>
    // Each process has its own warm-up.
    expiryOf(contender, round === 0 ? Math.min(COUNT, WARM_UP) : COUNT)
  const { ours, ...baselines } = await inTurns(ROUNDS, {
    ours: expiry('gradio-state'),
    'a setTimeout each': expiry('a setTimeout each'),
    'lru-cache, ttlAutopurge': expiry('lru-cache, ttlAutopurge'),
    '@isaacs/ttlcache': expiry('@isaacs/ttlcache'),
  })
  const lines = (metric: string, figure: keyof Expiry, goal?: typeof BELOW_BASELINE) =>
    Object.entries(baselines).map(([name, theirs]) =>
      compare({
        metric,
        unit: 'ms',
        ours: ours.map(expiry => expiry[figure]),
        baseline: { name, rounds: theirs.map(expiry => expiry[figure]) },
        ...(goal && { goal }),
      }),
    )
  return [
    ...lines(`until the last of ${COUNT.toLocaleString('en')} callbacks`, 'total', BELOW_BASELINE),
    ...lines('delay of the event loop meanwhile, p99', 'p99', upTo(20, 'ms')),
    ...lines('the longest', 'longest'),
  ]
}

/** @param contender one of those in expiry-process.ts */
export async function expiryOf(contender: string, count: number, patience = 4): Promise<Expiry> {
  const keeper = await launch('expiry-process', [contender])
  try {
    await keeper.ask('expire', WARM_UP, patience)
    const expiry = await keeper.ask<Expiry | undefined>('expire', count, patience)
    if (expiry !== undefined) return expiry
  } finally {
    await keeper.stop()
  }
  // A busy machine takes longer to add all values.
  return expiryOf(contender, count, patience * 2)
}
