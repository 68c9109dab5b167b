import { launch } from './harness/process.js'
import { BELOW_BASELINE, compare, type Result, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'

const COUNT = Number(process.env.COUNT ?? 1_000_000)
const ROUNDS = 3
/** After this many, everything that is created only once exists. */
const WARM_UP = 1_000

/** What an idle session costs. */
export interface SessionCost {
  /** In the heap and outside of it, in bytes. */
  readonly bytes: number
  /** The time to start it, in microseconds. */
  readonly time: number
}

export async function run(): Promise<Result[]> {
  // Each process has its own warm-up.
  const costOf = (contender: string) => (round: number) =>
    heapOf(contender, round === 0 ? Math.min(COUNT, WARM_UP) : COUNT)
  const { ours, maps, cache } = await inTurns(ROUNDS, {
    ours: costOf('gradio-state'),
    maps: costOf('a Map of Maps'),
    cache: costOf('lru-cache, ttlAutopurge'),
  })
  const metric = `memory of an idle session with one value, of ${COUNT.toLocaleString('en')}`
  const bytes = (costs: readonly SessionCost[]) => costs.map(cost => cost.bytes)
  const time = (costs: readonly SessionCost[]) => costs.map(cost => cost.time)
  return [
    compare({
      metric,
      unit: 'B',
      ours: bytes(ours),
      baseline: { name: 'a Map of Maps', rounds: bytes(maps) },
      goal: upTo(1_200, 'B'),
    }),
    compare({
      metric,
      unit: 'B',
      ours: bytes(ours),
      baseline: { name: 'lru-cache, ttlAutopurge', rounds: bytes(cache) },
      goal: BELOW_BASELINE,
    }),
    compare({
      metric: 'time to begin one, by a request without HTTP',
      unit: 'µs',
      ours: time(ours),
      baseline: { name: 'lru-cache, ttlAutopurge', rounds: time(cache) },
    }),
  ]
}

/** @param contender one of those in memory-process.ts */
export async function heapOf(contender: string, count: number): Promise<SessionCost> {
  const keeper = await launch('memory-process', [contender])
  const bytesNow = async () => {
    await keeper.ask('idle')
    // A second collection frees what the first one has finalized.
    await keeper.usage()
    const { heap, external } = await keeper.usage()
    return heap + external
  }
  try {
    await keeper.ask('begin', WARM_UP)
    const before = await bytesNow()
    const time = await keeper.ask<number>('begin', count)
    return { bytes: ((await bytesNow()) - before) / count, time: (time * 1_000) / count }
  } finally {
    await keeper.stop()
  }
}
