// A process under load, to be killed: it uploads, sweeps, ends sessions and closes, repeatedly.

import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { openCache } from './open-cache.ts'

const [cacheDir, dedup] = process.argv.slice(2) as [string, 'session' | 'cache']
const CONTENTS = [10, 1_000, 300_000].map(size => randomBytes(size))
const any = <T>(list: readonly T[]) => list[Math.floor(Math.random() * list.length)] as T

async function* slowly(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 50_000) {
    yield bytes.subarray(at, at + 50_000)
    await turn()
  }
}

process.stdout.write('begins\n')
for (;;) {
  const cache = openCache(cacheDir, { dedup })
  const use = async () => {
    const id = crypto.randomUUID()
    for (let i = 0; i < 5; i++) {
      const files = cache.of(id, () => {})
      await files.save(Readable.from(slowly(any(CONTENTS)), { objectMode: false }), any(['a.txt', 'b.txt']))
      if (i === 2) await writeFile(join(await files.directory(), 'stray'), any(CONTENTS))
      if (Math.random() < 0.3) await cache.sweep(Math.random() * 10)
    }
    await cache.end(id)
  }
  await Promise.all(Array.from({ length: 8 }, use))
  await cache.close()
}
