import { expiryOf } from './expiry.js'
import { launch } from './harness/process.js'
import { compare, type Result } from './harness/result.js'
import { idleCpu } from './idle.js'
import { heapOf } from './memory.js'

const COUNTS = [1_000, 10_000, 100_000, 1_000_000].filter(
  count => count <= Number(process.env.COUNT ?? 1_000_000),
)
const REQUESTS = 200_000
const IDLE = 10

/** One cost of gradio-state, and of an alternative if there is one, by the number of sessions. */
interface Cost {
  readonly name: string
  readonly unit: string
  ours(count: number): Promise<number>
  readonly baseline?: { readonly name: string; of(count: number): Promise<number> }
}

const LRU = 'lru-cache, ttlAutopurge'

const COSTS: readonly Cost[] = [
  {
    name: 'memory of an idle session',
    unit: 'B',
    ours: async count => (await heapOf('gradio-state', count)).bytes,
    baseline: { name: LRU, of: async count => (await heapOf(LRU, count)).bytes },
  },
  { name: 'a request with one get and one set, without HTTP', unit: 'µs', ours: requestAmong },
  {
    name: 'the end of a value, with its callback',
    unit: 'µs',
    ours: async count => ((await expiryOf('gradio-state', count)).total / count) * 1_000,
    baseline: { name: LRU, of: async count => ((await expiryOf(LRU, count)).total / count) * 1_000 },
  },
  {
    name: `CPU while all are idle, in ${IDLE} s`,
    unit: 'ms',
    async ours(count) {
      const { ours } = await idleCpu(count, IDLE, 1)
      return ours[0] as number
    },
  },
]

export async function run(): Promise<Result[]> {
  const results: Result[] = []
  for (const { name, unit, ours, baseline } of COSTS) {
    for (const count of COUNTS) {
      const theirs = baseline && { name: baseline.name, rounds: [await baseline.of(count)] }
      results.push(
        compare({
          metric: `${name}, ${count} sessions`,
          unit,
          ours: [await ours(count)],
          ...(theirs && { baseline: theirs }),
        }),
      )
    }
  }
  return results
}

async function requestAmong(count: number): Promise<number> {
  const keeper = await launch('growth-process')
  try {
    await keeper.ask('begin', count)
    // Warm-up.
    await keeper.ask('cost', REQUESTS)
    return await keeper.ask<number>('cost', REQUESTS)
  } finally {
    await keeper.stop()
  }
}
