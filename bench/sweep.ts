import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Launched, launch } from './harness/process.js'
import { compare, type Goal, type Result, ratioUpTo, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'
import type { Sweep } from './sweep-process.js'

/** Half of them are of age. */
const FILES = Number(process.env.COUNT ?? 200_000)
const ROUNDS = 3
const WARM_UP = 2_000

export async function run(): Promise<Result[]> {
  const count = (round: number) => (round === 0 ? WARM_UP : FILES)
  const { ours, theirs } = await inTurns(ROUNDS, {
    ours: round => sweepOf('gradio-state', count(round)),
    theirs: round => sweepOf('find', count(round)),
  })
  const files = `${(FILES / 2).toLocaleString('en')} of ${FILES.toLocaleString('en')} files`
  const line = (metric: string, figure: keyof Sweep, goal?: Goal) =>
    compare({
      metric: `${files}: ${metric}`,
      unit: 'ms',
      ours: ours.map(sweep => sweep[figure]),
      baseline: { name: 'find … -delete', rounds: theirs.map(sweep => sweep[figure]) },
      ...(goal && { goal }),
    })
  const delay = (metric: string, figure: keyof Sweep, goal?: Goal) =>
    compare({
      metric: `${files}: event loop's delay, ${metric}`,
      unit: 'ms',
      ours: ours.map(sweep => sweep[figure]),
      ...(goal && { goal }),
    })
  return [
    line('deleted within', 'time', ratioUpTo(1.5)),
    line('CPU', 'cpu'),
    delay('p99', 'p99', upTo(20, 'ms')),
    delay('longest', 'longest'),
  ]
}

/** Both find the same tree, which the library has made: its files are of the users of so many sessions, some old, some new. */
export async function sweepOf(name: 'gradio-state' | 'find', count: number): Promise<Sweep> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'bench-sweep-'))
  const marker = `${cacheDir}.marker`
  const server = await launch('sweep-process', [cacheDir, String(count)])
  try {
    await server.ask('save', 'old')
    // The times of files are as exact as the system's tick.
    await sleep(100)
    await writeFile(marker, '')
    await sleep(100)
    await server.ask('age')
    await server.ask('save', 'new')
    // What is still to be written of them would be written meanwhile.
    await execute('sync')
    await sleep(2_500)
    const sweep = name === 'find' ? await find(server, cacheDir, marker) : await server.ask<Sweep>('sweep')
    await expectLeft(cacheDir, count / 2)
    return sweep
  } finally {
    await server.stop()
    await rm(cacheDir, { recursive: true, force: true })
    await rm(marker, { force: true })
  }
}

/** The library's process has ended: nobody else is there. */
async function find(server: Launched, cacheDir: string, marker: string): Promise<Sweep> {
  await server.stop()
  const begun = performance.now()
  const command = 'find "$0" -type f ! -newer "$1" -delete; times'
  const { stdout } = await execute('sh', ['-c', command, cacheDir, marker])
  const time = performance.now() - begun
  const cpu = [...stdout.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1_000,
    0,
  )
  return { time, cpu, p99: Number.NaN, longest: Number.NaN }
}

/** Those that are of age are gone, the others are there. */
async function expectLeft(cacheDir: string, count: number): Promise<void> {
  const names = await readdir(cacheDir, { recursive: true })
  const left = names.filter(name => name.endsWith('.txt'))
  const old = left.filter(name => /old-\d+\.txt$/.test(name))
  if (left.length === count && old.length === 0) return
  throw new Error(`Expected ${count} files to be left, got ${left.length}, and ${old.length} of age`)
}

const execute = promisify(execFile)
