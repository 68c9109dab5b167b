import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { filesBelow } from './disk.ts'
import { openCache } from './open-cache.ts'

export interface ParallelSavesReport {
  saved: number
  /** How often a file of a session was read, and had the right bytes. */
  read: number
  /** How many files a sweep deleted before their session ended. */
  swept: number
  sessions: number
}

/** 50 sessions concurrently upload, sweep and end the same ten files; at the end nothing is left. */
export async function parallelSaves(cacheDir: string, seconds: number): Promise<ParallelSavesReport> {
  const cache = openCache(cacheDir, { dedup: 'cache' })
  const contents = Array.from({ length: 10 }, (_, i) => randomBytes(i * 5_000))
  const until = performance.now() + seconds * 1000
  const report = { saved: 0, read: 0, swept: 0, sessions: 0 }

  async function live(): Promise<void> {
    const id = randomUUID()
    const files = cache.of(id, () => {})
    const gone = new Set<() => Promise<boolean>>()
    report.sessions++
    for (let i = Math.random() * 8; i > 0; i--) {
      const content = contents[Math.floor(Math.random() * contents.length)] as Buffer
      const { name, sha256, path } = await files.save(content, Math.random() < 0.5 ? 'a.bin' : 'b.bin')
      report.saved++
      gone.add(async () => (await files.find(sha256, name)) === undefined)
      if ((await files.find(sha256, name)) === undefined) continue
      const held = await files.pin(sha256, name).catch(() => undefined)
      if (held === undefined) continue
      for (let looks = 0; looks < 3; looks++) {
        const found = createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
        assert.equal(found, sha256)
        report.read++
        await turn()
      }
      held.pins--
    }
    for (const isGone of gone) if (await isGone()) report.swept++
    await cache.end(id)
  }

  async function repeat(task: () => Promise<unknown>): Promise<void> {
    while (performance.now() < until) {
      await task()
      await turn()
    }
  }

  await Promise.all([
    ...Array.from({ length: 50 }, () => repeat(live)),
    repeat(() => cache.sweep(Math.random() * 20)),
  ])
  assert.deepEqual(filesBelow(cacheDir), [])
  assert.deepEqual(cache.stats(), { files: 0, fileBytes: 0 })
  await cache.close()
  assert.deepEqual(readdirSync(cacheDir), [])
  return report
}
