import { readdir } from 'node:fs/promises'
import { BELOW_BASELINE, compare, type Result } from '../harness/result.js'
import { BASELINE, type Contender, measure, type Server } from './contenders.js'

const COUNT = Number(process.env.COUNT ?? 40_000)
const ROUNDS = 3

/** Files of 1 kB, half of which are old enough to be deleted. */
export async function sweep(contenders: readonly [Contender, Contender]): Promise<Result[]> {
  const measurement = (server: Server, round: number) => sweepOf(server, round === 0 ? COUNT / 10 : COUNT)
  const { ours, theirs } = await measure(contenders, ROUNDS, measurement, 'sweep')
  return [
    compare({
      metric: `sweep: ${(COUNT / 2).toLocaleString('en')} aged files among ${COUNT.toLocaleString('en')}`,
      unit: 'ms',
      ours,
      baseline: { name: BASELINE, rounds: theirs },
      goal: BELOW_BASELINE,
    }),
  ]
}

/** Milliseconds until the last old file is deleted. */
export async function sweepOf(server: Server, count: number): Promise<number> {
  await server.ask('save', count)
  await expectFiles(server, count)
  const wall = await server.ask<number>('sweep')
  await expectFiles(server, count / 2)
  return wall
}

async function expectFiles({ contender, directory }: Server, expected: number): Promise<void> {
  const entries = await readdir(directory, { recursive: true })
  const found = entries.filter(path => path.endsWith('.bin')).length
  if (found !== expected)
    throw new Error(`${contender}: expected ${expected} files on the disk, found ${found}`)
}
