import { launch } from './harness/process.js'
import { compare, type Goal, type Result } from './harness/result.js'

const COUNT = Number(process.env.COUNT ?? 100_000)
const SECONDS = Number(process.env.SECONDS ?? 30)
const ROUNDS = 3
/** In seconds. After that, V8 has finished its deferred work. */
const SETTLE = Math.min(SECONDS, 10)

/** Less than a thousandth of one core can't be measured in an app. */
const LIMIT = SECONDS
const GOAL: Goal = {
  text: `at most 0.1 % of a core above the baseline (${LIMIT} ms)`,
  isMet: ours => ours <= LIMIT,
}

export async function run(): Promise<Result[]> {
  const { ours, bare } = await idleCpu(COUNT, SECONDS, ROUNDS)
  const metric = `CPU in ${SECONDS} s with ${COUNT.toLocaleString('en')} idle sessions`
  return [
    compare({ metric, unit: 'ms', ours, baseline: { name: 'the bare process', rounds: bare } }),
    compare({
      metric: `${metric}, above that of the bare process`,
      unit: 'ms',
      ours: ours.map((figure, round) => figure - (bare[round] as number)),
      goal: GOAL,
    }),
  ]
}

/** CPU time in milliseconds of a process with idle sessions, and of one without, by round. Both wait at the same time. */
export async function idleCpu(
  count: number,
  seconds: number,
  rounds: number,
): Promise<{ ours: number[]; bare: number[] }> {
  const ours = await launch('idle-process', [`${count}`])
  const bare = await launch('idle-process', ['0'])
  const cpu = () => Promise.all([ours.ask<number>('cpu'), bare.ask<number>('cpu')])
  const figures = { ours: [] as number[], bare: [] as number[] }
  try {
    await pause(SETTLE)
    for (let round = 0; round < rounds; round++) {
      const before = await cpu()
      await pause(seconds)
      const after = await cpu()
      figures.ours.push(after[0] - before[0])
      figures.bare.push(after[1] - before[1])
    }
  } finally {
    await ours.stop()
    await bare.stop()
  }
  return figures
}

function pause(seconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, seconds * 1_000))
}
