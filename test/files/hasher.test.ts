import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Hashers, PROGRAM } from '../../lib/files/hasher.ts'
import { Ingest } from '../../lib/files/ingest.ts'
import { Quota, Reservation } from '../../lib/files/quota.ts'
import { pour } from '../../lib/files/sources.ts'
import { filesBelow, openBelow, scratch } from '../support/disk.ts'
import { unique } from '../support/multipart.ts'

const shaOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const BLOCK = 256 * 1024

function ingest(directory: string, name: string, program = PROGRAM): Ingest {
  const unlimited = new Reservation(new Quota(Number.POSITIVE_INFINITY, 'CACHE_FULL', ''))
  return new Ingest(join(directory, name), unlimited, new Hashers(program))
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
    const sizes = [0, 1, 65_536, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 9 * BLOCK, 20_000_000]
    await Promise.all(sizes.map(size => check(ingest(directory, `${size}`), unique(size))))
    await check(ingest(directory, 'in one piece'), unique(5_000_000), 5_000_000)
    await check(ingest(directory, 'in small pieces'), unique(600_000), 7)
  })

  const deaths: Record<string, string> = {
    'can’t be started': 'this is no program',
    'dies at the first order':
      "require('node:worker_threads').parentPort.once('message', () => process.exit())",
    'dies later': `${PROGRAM}\nlet orders = 0\nparentPort.on('message', () => { if (++orders === 5) process.exit() })`,
    'can’t read': PROGRAM.replace('readSync(', 'missing('),
    'reads only a part': PROGRAM.replace(
      'known.hash.update',
      "if (known.at > 1e6) throw ''\n    known.hash.update",
    ),
  }
  for (const [how, program] of Object.entries(deaths))
    it(`is whole when the thread ${how}`, async t => {
      const directory = directoryOf(t)
      const files = ['a', 'b', 'c'].map(name => ingest(directory, name, program))
      await Promise.all(files.map(file => check(file, unique(3_000_000))))
    })

  it('is gone when it is abandoned while the thread reads, and its descriptor is not used any more', async t => {
    const directory = directoryOf(t)
    const slow = `const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)\n${PROGRAM.replace('const length', 'wait()\n    const length')}`
    const hashers = new Hashers(slow)
    const unlimited = () => new Reservation(new Quota(Number.POSITIVE_INFINITY, 'CACHE_FULL', ''))
    const given = new Ingest(join(directory, 'given up'), unlimited(), hashers)
    given.take(unique(4 * BLOCK))
    await new Promise(resolve => setTimeout(resolve, 60))
    const abandoned = given.abandon()
    const bytes = unique(3 * BLOCK)
    const kept = new Ingest(join(directory, 'kept'), unlimited(), hashers)
    await abandoned
    await check(kept, bytes)
    assert.deepEqual(filesBelow(directory), ['kept'])
  })

  it('lets the process end by itself, but not before', t => {
    const directory = scratch(t)
    const lib = (name: string) =>
      JSON.stringify(fileURLToPath(new URL(`../../lib/files/${name}`, import.meta.url)))
    const script = `
      const { Ingest } = await import(${lib('ingest.ts')})
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
