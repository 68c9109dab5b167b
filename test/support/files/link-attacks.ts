import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import type { FileCache } from '../../../lib/files/cache.ts'
import type { SessionFiles } from '../../../lib/files/session-files.ts'
import { testCache } from './cache.ts'
import { openBelow, scratch } from './disk.ts'
import { LinkSwapper } from './link-swapper.ts'

const NAME = 'a.txt'
const BYTES = 'bytes of the session'
const SECRET = 'secret'
/** The paths that a process swaps that may write to the session's directory. */
const PATHS = ['app', 'app/own', 'app/own/below', `app/own/${NAME}`, 'saved', `saved/${NAME}`]
/** Old enough for every file. */
const AT_ONCE = -1e12
/** How long to wait for an operation that succeeds, in milliseconds. */
const PATIENCE = 60_000

interface Target {
  readonly cache: FileCache
  readonly id: string
  readonly files: SessionFiles
  readonly path: string
  readonly sha256: string
  /** An unused path outside. */
  outside(): string
}

/** One operation while links are swapped. Resolves with the content that it has read, if any. */
type Attacked = (target: Target) => Promise<string | undefined>

export const ATTACKED: Readonly<Record<string, Attacked>> = {
  async upload({ files }) {
    await files.save(Buffer.from(`${Math.random()}`), Math.random() < 0.5 ? NAME : 'b.txt')
    return undefined
  },
  async sweep({ cache, files, path }) {
    await files.save(Buffer.from(`${Math.random()}`), NAME).catch(() => {})
    await mkdir(join(path, 'app/own/below'), { recursive: true }).catch(() => {})
    await cache.sweep(AT_ONCE)
    return undefined
  },
  async end({ cache, id }) {
    await cache.end(id)
    return undefined
  },
  async serve({ files, sha256 }) {
    const found = await files.open(sha256, NAME)
    if (found === undefined) {
      await files.save(Buffer.from(BYTES), NAME)
      return undefined
    }
    found.record.pins--
    const content = await found.file.handle.readFile('utf8')
    await found.file.close()
    return content
  },
  async adopt({ files, sha256, outside }) {
    const destination = outside()
    await files.save(Buffer.from(BYTES), NAME)
    await files.adopt(sha256, NAME, destination)
    assert.ok(lstatSync(destination).isFile())
    return readFileSync(destination, 'utf8')
  },
  async saveFile({ cache, path }) {
    const paths = [`app/own/${NAME}`, `app/own/below/${NAME}`, `saved/${NAME}`]
    const file = await cache.open(join(path, paths[Math.floor(Math.random() * paths.length)]!))
    return file && (await buffer(file.handle.createReadStream())).toString()
  },
}

export interface AttackReport {
  rounds: number
  succeeded: number
  refused: number
  swaps: number
}

/** Runs an operation while links are swapped. Nothing outside the session's directory may be read, written or deleted. */
export async function attack(t: TestContext, what: string, seconds: number): Promise<AttackReport> {
  const elsewhere = scratch(t)
  for (const directory of ['.', 'own', 'below', 'own/below', 'saved', 'app/own/below']) {
    mkdirSync(join(elsewhere, directory), { recursive: true })
    for (const name of [NAME, 'b.txt']) writeFileSync(join(elsewhere, directory, name), SECRET)
  }
  const before = contentsOf(elsewhere)
  const kept = scratch(t)
  let count = 0
  const { cache, cacheDir } = testCache(t)
  const swapper = new LinkSwapper(t, elsewhere)
  const report = { rounds: 0, succeeded: 0, refused: 0, swaps: 0 }
  const begun = performance.now()
  const isTime = () => performance.now() < begun + seconds * 1000
  // A busy machine may get nothing done in that time.
  while (isTime() || (report.succeeded === 0 && performance.now() < begun + PATIENCE)) {
    report.rounds++
    const id = randomUUID()
    const files = cache.of(id, () => {})
    const { sha256 } = await files.save(Buffer.from(BYTES), NAME)
    const own = join(await files.directory(), 'own')
    await mkdir(join(own, 'below'), { recursive: true })
    for (const directory of [own, join(own, 'below')])
      for (let i = 0; i < 20; i++) await writeFile(join(directory, i === 0 ? NAME : `${i}.txt`), BYTES)
    const { path } = files
    await swapper.swap(path, PATHS)
    const target = { cache, id, files, path, sha256, outside: () => join(kept, `${count++}`) }
    for (let i = 0; i < (what === 'end' ? 1 : 200) && (i === 0 || isTime()); i++) {
      try {
        const read = await ATTACKED[what]!(target)
        if (read !== undefined) assert.ok(!read.includes(SECRET), 'something outside was read')
        report.succeeded++
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
        report.refused++
      }
    }
    await swapper.swap('/', [])
    await cache.end(id)
  }
  report.swaps = swapper.swaps
  await cache.close()
  assert.deepEqual(contentsOf(elsewhere), before)
  for (const name of readdirSync(kept)) assert.ok(lstatSync(join(kept, name)).isFile())
  assert.deepEqual([openBelow(cacheDir), openBelow(elsewhere)], [[], []])
  return report
}

/** Each file with its content. */
function contentsOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map(name => {
      const path = join(directory, name)
      return lstatSync(path).isFile() ? `${name}: ${readFileSync(path, 'utf8')}` : name
    })
}
