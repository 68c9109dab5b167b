import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launch } from './harness/process.js'
import { compare, type Goal, type Result, ratioUpTo, upTo } from './harness/result.js'
import { inTurns } from './harness/turns.js'

/** What is uploaded: a number of requests, each with one file of a given size. */
interface Load {
  readonly name: string
  readonly files: number
  readonly size: number
  /** All files have the same bytes. */
  readonly same?: boolean
  /** How many at the same time, and the limit of the wall time as a multiple of the baseline's. */
  readonly parallel?: number
  readonly limit: number
}

const LOADS: readonly Load[] = [
  { name: '1 GB in one file', files: 1, size: 1024 ** 3, limit: 1.05 },
  { name: '2,000 files of 100 kB', files: 2000, size: 100_000, limit: 1 },
  { name: '2,000 files of 100 kB, 64 at once', files: 2000, size: 100_000, parallel: 64, limit: 1 },
]
const DUPLICATES: Load = {
  name: 'the same 1 MB again and again',
  files: 100,
  size: 1_000_000,
  same: true,
  limit: 1,
}
const LARGE: Load = { name: '2 GB in one file', files: 1, size: 2 * 1024 ** 3 - 1, limit: 1 }
const ROUNDS = Number(process.env.ROUNDS ?? 5)

export async function run(): Promise<Result[]> {
  const results: Result[] = []
  for (const load of LOADS) results.push(...(await compared(load)))
  const { bytes } = await measure(DUPLICATES, 'cache')
  if (bytes === 0) throw new Error('Expected uploaded files on the disk, found none')
  results.push(
    compare({
      metric: `${DUPLICATES.name} (${DUPLICATES.files} times): bytes on disk beyond the first`,
      unit: 'B',
      ours: [bytes - DUPLICATES.size],
      goal: upTo(0, 'B'),
    }),
  )
  const { rss } = await measure(LARGE, 'cache')
  results.push(
    compare({
      metric: `${LARGE.name}: most memory of the process beyond that before`,
      unit: 'MB',
      ours: [rss / 1_000_000],
      goal: upTo(100, 'MB'),
    }),
  )
  return results
}

async function compared(load: Load): Promise<Result[]> {
  const { ours, theirs } = await inTurns(ROUNDS, {
    theirs: () => measure(load, 'diskStorage'),
    ours: () => measure(load, 'cache'),
  })
  const row = (metric: string, which: keyof Figures, goal?: Goal) =>
    compare({
      metric: `${load.name}: ${metric}`,
      unit: 'ms',
      ours: ours.map(each => each[which]),
      baseline: { name: 'multer.diskStorage', rounds: theirs.map(each => each[which]) },
      ...(goal && { goal }),
    })
  return [
    row('wall time', 'wall', ratioUpTo(load.limit)),
    row('CPU of all threads', 'cpu', ratioUpTo(1.1)),
    row('event loop busy', 'active'),
  ]
}

/** The figures of one round; times in milliseconds. */
interface Figures {
  readonly wall: number
  /** CPU time of all threads of the server. */
  readonly cpu: number
  /** The time in which the event loop of the server was busy. */
  readonly active: number
  /** By how many bytes the process grew, at most. */
  readonly rss: number
  /** What is on the disk at the end. */
  readonly bytes: number
}

async function measure(load: Load, storage: 'cache' | 'diskStorage'): Promise<Figures> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-upload-'))
  const server = await launch('upload-process', [storage, directory])
  const client = fork(fileURLToPath(new URL('upload-client.ts', import.meta.url)))
  // Excludes the start of the client.
  await once(client, 'message')
  await server.ask('begin')
  client.send({ ...load, port: server.ready })
  const [wall] = (await once(client, 'message')) as [number]
  const used = await server.ask<Omit<Figures, 'wall' | 'bytes'>>('end')
  await once(client, 'exit')
  const bytes = await bytesIn(directory)
  await server.stop()
  await rm(directory, { recursive: true, force: true })
  return { wall, ...used, bytes }
}

/** Of the files that were sent, where they keep their names. */
async function bytesIn(directory: string): Promise<number> {
  let sum = 0
  for (const file of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (file.name.endsWith('.bin')) sum += (await stat(join(file.parentPath, file.name))).size
  }
  return sum
}
