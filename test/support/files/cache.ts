import { createHash, randomUUID } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Events } from '../../../lib/events.ts'
import { type CacheConfig, FileCache } from '../../../lib/files/cache.ts'
import type { SessionFiles } from '../../../lib/files/session-files.ts'
import { until } from '../http/express.ts'
import { scratch } from './disk.ts'

export interface TestCache {
  readonly cache: FileCache
  readonly cacheDir: string
  /** The reported errors. */
  readonly errors: unknown[]
  /** The directory of the instance. */
  readonly folder: string
  /** The files of a session; a new session without an id. */
  session(id?: string): SessionFiles
  /** Advances the monotonic clock, without running anything. */
  pass(ms: number): void
  /** Runs the tasks with that interval, in milliseconds. */
  tick(ms: number): Promise<void>
}

/** The files of an instance without the rest of the library, on a clock that stands still. */
export function testCache(t: TestContext, options: Partial<CacheConfig> = {}): TestCache {
  const cacheDir = options.cacheDir ?? scratch(t)
  const errors: unknown[] = []
  const tasks = new Map<number, () => Promise<unknown>>()
  let now = 0
  const cache = new FileCache(
    {
      cacheDir,
      isDefaultDir: false,
      deleteCache: undefined,
      dedup: 'session',
      maxFileSize: Number.POSITIVE_INFINITY,
      maxSessionBytes: Number.POSITIVE_INFINITY,
      maxSessionFiles: Number.POSITIVE_INFINITY,
      maxCacheBytes: Number.POSITIVE_INFINITY,
      ...options,
    },
    () => now,
    new Events(),
  )
  cache.start({
    every(ms, task) {
      tasks.set(ms, task)
      return () => tasks.delete(ms)
    },
    async pause() {},
    evict: () => undefined,
    report: error => errors.push(error),
  })
  t.after(() => cache.close())
  return {
    cache,
    cacheDir,
    errors,
    folder: join(cache.pathOf('session'), '..'),
    session: (id = randomUUID()) => cache.of(id, () => {}),
    pass: ms => {
      now += ms
    },
    async tick(ms) {
      await until(() => tasks.has(ms), `that something is done each ${ms} ms`)
      await tasks.get(ms)?.()
    },
  }
}

/** Everything below a directory, as text that is equal only if nothing has changed: kinds, modes, links, bytes and times. */
export function snapshot(directory: string): string {
  const lines = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()
  return ['.', ...lines]
    .map(name => {
      const path = join(directory, name)
      const { mode, nlink, mtimeMs, ino } = lstatSync(path)
      const kind = lstatSync(path)
      const content = kind.isSymbolicLink()
        ? readlinkSync(path)
        : kind.isFile()
          ? createHash('sha256').update(readFileSync(path)).digest('hex')
          : ''
      return [name, mode, kind.isFile() ? nlink : '', mtimeMs, ino, content].join(' ')
    })
    .join('\n')
}
