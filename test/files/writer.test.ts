import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { DiskThread, PROGRAM } from '../../lib/files/disk-thread.ts'
import { Quota, Reservation } from '../../lib/files/quota.ts'
import { pour } from '../../lib/files/sources.ts'
import type { Call, Disk } from '../../lib/files/trips.ts'
import { Ingest } from '../../lib/files/writer.ts'
import { filesBelow, openBelow, scratch } from '../support/disk.ts'
import { until } from '../support/express.ts'
import { unique } from '../support/multipart.ts'

const shaOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const BLOCK = 256 * 1024

function unlimited(): Reservation {
  const any = new Quota(Number.POSITIVE_INFINITY, 'CACHE_FULL', '')
  return new Reservation(Number.POSITIVE_INFINITY, { files: any, bytes: any, total: any })
}

function ingest(directory: string, name: string, disk: Disk = new DiskThread()): Ingest {
  return new Ingest(join(directory, name), unlimited(), disk)
}

/** Writes bytes in pieces of any size, and checks what became of them. */
async function check(file: Ingest, bytes: Uint8Array, piece = 65_500): Promise<void> {
  const pieces = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, i) =>
    bytes.subarray(i * piece, (i + 1) * piece),
  )
  await pour(Readable.from(pieces, { objectMode: false }), file, new AbortController().signal)
  const { sha256, size } = await file.finish()
  await file.close()
  const onDisk = readFileSync(file.path)
  assert.deepEqual([size, sha256, shaOf(onDisk)], [bytes.length, shaOf(bytes), shaOf(bytes)])
}

function directoryOf(t: TestContext): string {
  const directory = scratch(t)
  t.after(() => assert.deepEqual(openBelow(directory), []))
  return directory
}

describe('what is written', () => {
  it('has the right hash, whatever its size, many at once', async t => {
    const directory = directoryOf(t)
    const sizes = [0, 1, 65_536, ...[1, 2, 4, 9].flatMap(n => [-1, 0, 1].map(i => n * BLOCK + i)), 20_000_000]
    await Promise.all(sizes.map(size => check(ingest(directory, `${size}`), unique(size))))
    await check(ingest(directory, 'in one piece'), unique(5_000_000), 5_000_000)
    await check(ingest(directory, 'in small pieces'), unique(600_000), 7)
  })

  const deaths: Record<string, string> = {
    'can’t be started': 'this is no program',
    'dies at the first order':
      "require('node:worker_threads').parentPort.once('message', () => process.exit())",
    'dies later': `${PROGRAM}\nlet orders = 0\nparentPort.on('message', () => { if (++orders === 5) process.exit() })`,
    'dies when it has made a file but not told': `${PROGRAM}
      const { create } = calls
      calls.create = (...args) => process.exit(create(...args))`,
    'can’t read': PROGRAM.replace('readSync(', 'missing('),
    'reads only a part': PROGRAM.replace(
      'known.hash.update',
      "if (known.at > 1e6) throw ''\n    known.hash.update",
    ),
  }
  for (const [how, program] of Object.entries(deaths))
    it(`is whole when the thread ${how}`, async t => {
      const directory = directoryOf(t)
      const disk = new DiskThread(program)
      const sizes = [3_000_000, 10_000, 3_000_000, 3_000_000, 0]
      for (const round of [1, 2]) {
        const files = sizes.map((_, i) => ingest(directory, `${round} ${i}`, disk))
        await Promise.all(files.map((file, i) => check(file, unique(sizes[i]!))))
      }
    })

  it('is gone when it is abandoned while the thread reads, and its descriptor is not used any more', async t => {
    const directory = directoryOf(t)
    const slow = `const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)\n${PROGRAM.replace('const length', 'wait()\n    const length')}`
    const thread = new DiskThread(slow)
    const underWay = new Set<Call>()
    const disk: Disk = {
      async run(trip) {
        for (const call of trip) underWay.add(call)
        const result = await thread.run(trip)
        for (const call of trip) underWay.delete(call)
        return result
      },
    }
    const given = ingest(directory, 'given up', disk)
    given.take(unique(8 * BLOCK))
    await until(() => [...underWay].some(([name]) => name === 'hash'))
    const abandoned = given.abandon().then(() => assert.equal(underWay.size, 0))
    const bytes = unique(3 * BLOCK)
    const kept = ingest(directory, 'kept', disk)
    await abandoned
    await check(kept, bytes)
    assert.deepEqual(filesBelow(directory), ['kept'])
  })

  it('is not changed by who gave it, and not taken from them', async t => {
    const directory = directoryOf(t)
    for (const size of [1000, BLOCK]) {
      const bytes = new Uint8Array(size).fill(1)
      const file = ingest(directory, `changed ${size}`)
      file.take(bytes)
      const { sha256 } = await file.finish()
      bytes.fill(2)
      await file.close()
      assert.equal(sha256, shaOf(new Uint8Array(size).fill(1)))
      assert.equal(shaOf(readFileSync(file.path)), sha256)
      assert.deepEqual(bytes, new Uint8Array(size).fill(2))
    }
    for (const size of [1000, 3_000_000]) {
      const bytes = unique(size)
      const before = shaOf(bytes)
      const file = ingest(directory, `${size}`)
      file.take(bytes)
      await file.finish()
      await file.close()
      assert.equal(shaOf(bytes), before)
    }
  })

  it('lets the process end by itself, but not before', t => {
    const directory = scratch(t)
    const lib = (name: string) =>
      JSON.stringify(fileURLToPath(new URL(`../../lib/files/${name}`, import.meta.url)))
    const script = `
      const { Ingest } = await import(${lib('writer.ts')})
      const file = new Ingest(${JSON.stringify(join(directory, 'file'))}, { add() {} })
      file.take(new Uint8Array(3_000_000))
      void file.finish().then(async ({ sha256 }) => { await file.close(); console.log(sha256) })`
    const { stdout, status } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', script],
      { encoding: 'utf8', timeout: 20_000 },
    )
    assert.deepEqual([stdout.trim(), status], [shaOf(new Uint8Array(3_000_000)), 0])
  })
})
