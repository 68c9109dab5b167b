// All trees are created before anything is deleted. ext4 without a journal doesn't reuse an inode that was deleted within the last
// minute, and checks each of these when a file is created (`recently_deleted()`): after a sweep, creating a file took five times as
// much CPU time.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Launched, launch } from './harness/process.js'
import { compare, type Goal, type Result, ratioUpTo, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'
import type { Sweep } from './sweep-process.js'

/** Half of them are old. */
const FILES = Number(process.env.COUNT ?? 100_000)
const ROUNDS = 3
const WARM_UP = 2_000

export async function run(): Promise<Result[]> {
  const trees: Tree[] = []
  try {
    const make = async (round: number) => {
      const tree = await startTree(round === 0 ? WARM_UP : FILES)
      trees.push(tree)
      await grow(tree)
      return tree
    }
    const pairs: [Tree, Tree][] = []
    for (let round = 0; round <= ROUNDS; round++) pairs.push(await Promise.all([make(round), make(round)]))
    const { ours, theirs } = await inTurns(ROUNDS, {
      ours: round => measure(pairs[round]?.[0] as Tree, tree => tree.server.ask<Sweep>('sweep')),
      theirs: round => measure(pairs[round]?.[1] as Tree, find),
    })
    return resultsOf(ours, theirs)
  } finally {
    await Promise.all(trees.map(fell))
  }
}

function resultsOf(ours: readonly Sweep[], theirs: readonly Sweep[]): Result[] {
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
    line('deleted within', 'time', ratioUpTo(0.7)),
    line('CPU', 'cpu'),
    delay('p99', 'p99', upTo(20, 'ms')),
    delay('longest', 'longest'),
  ]
}

/** The directory tree that both delete from. The library has created it, for a number of sessions. Half of its files are old. */
interface Tree {
  readonly server: Launched
  readonly cacheDir: string
  /** A file that is newer than the old ones. */
  readonly marker: string
  readonly count: number
}

async function startTree(count: number): Promise<Tree> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'bench-sweep-'))
  const server = await launch('sweep-process', [cacheDir, String(count)])
  return { server, cacheDir, marker: `${cacheDir}.marker`, count }
}

async function grow({ server, marker }: Tree): Promise<void> {
  await server.ask('save', 'old')
  await writeFile(marker, '')
  // The library sets the mtime of a file to a whole second, two seconds ago.
  await sleep(4_000)
  await server.ask('age')
  await server.ask('save', 'new')
}

async function measure(tree: Tree, sweep: (tree: Tree) => Promise<Sweep>): Promise<Sweep> {
  // Otherwise, dirty pages would be written during the measurement.
  await execute('sync')
  await sleep(2_500)
  const figures = await sweep(tree)
  await expectLeft(tree.cacheDir, tree.count / 2)
  return figures
}

async function fell({ server, cacheDir, marker }: Tree): Promise<void> {
  await server.stop()
  await execute('rm', ['-rf', cacheDir, marker])
}

/** Deletes with `find`. The library's process is stopped first. */
async function find({ server, cacheDir, marker }: Tree): Promise<Sweep> {
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

/** Checks that the old files were deleted and the others were not. */
async function expectLeft(cacheDir: string, count: number): Promise<void> {
  const names = await readdir(cacheDir, { recursive: true })
  const left = names.filter(name => name.endsWith('.txt'))
  const old = left.filter(name => /old-\d+\.txt$/.test(name))
  if (left.length === count && old.length === 0) return
  throw new Error(`Expected ${count} files to be left, got ${left.length}, and ${old.length} of age`)
}

const execute = promisify(execFile)
