import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs, { existsSync, readFileSync, statSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { Quota, Reservation } from '../../lib/files/quota.ts'
import { readableOf } from '../../lib/files/sources.ts'
import { FileWriter } from '../../lib/files/writer.ts'
import { testCache } from '../support/files/cache.ts'
import { filesBelow, openBelow, scratch, smallDisk } from '../support/files/disk.ts'
import { pausing } from '../support/files/failing-calls.ts'
import { unique } from '../support/files/multipart.ts'
import { until } from '../support/http/express.ts'

const shaOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
type WriteDone = (error: NodeJS.ErrnoException | null, written: number) => void
const IN_MEMORY = 256 * 1024
const never = new AbortController().signal

function writerOf(directory: string, name: string): FileWriter {
  const any = new Quota(Number.POSITIVE_INFINITY, 'CACHE_FULL', '')
  const reservation = new Reservation(Number.POSITIVE_INFINITY, { files: any, bytes: any, total: any })
  return new FileWriter(join(directory, name), {
    reserve: bytes => reservation.add(bytes),
    reserveLater: async bytes => reservation.add(bytes),
    withRepair: task => task(),
  })
}

function inPieces(bytes: Uint8Array, piece: number): Readable {
  const pieces = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, i) =>
    bytes.subarray(i * piece, (i + 1) * piece),
  )
  return Readable.from(pieces, { objectMode: false })
}

/** Writes bytes in pieces of any size, and checks the result. */
async function check(writer: FileWriter, bytes: Uint8Array, piece = 65_500): Promise<void> {
  const sha256 = await writer.receive(inPieces(bytes, piece), never)
  await writer.close()
  assert.deepEqual(
    [writer.size, sha256, shaOf(readFileSync(writer.path))],
    [bytes.length, shaOf(bytes), shaOf(bytes)],
  )
}

function directoryOf(t: TestContext): string {
  const directory = scratch(t)
  t.after(() => assert.deepEqual(openBelow(directory), []))
  return directory
}

describe('a written file', () => {
  it('is complete and has the right hash, for any size, even concurrently', async t => {
    const directory = directoryOf(t)
    const around = [1, 2, 4, 9].flatMap(n => [-1, 0, 1].map(i => n * IN_MEMORY + i))
    const sizes = [0, 1, 65_536, ...around, 20_000_000]
    await Promise.all(sizes.map(size => check(writerOf(directory, `${size}`), unique(size))))
    await check(writerOf(directory, 'in one piece'), unique(5_000_000), 5_000_000)
    await check(writerOf(directory, 'in small pieces'), unique(600_000), 7)
  })

  it('is complete if the system writes less than it was given', async t => {
    const directory = directoryOf(t)
    const { writev } = fs
    const writeLess = (file: number, chunks: Uint8Array[], done: WriteDone) => {
      const [first, second] = chunks as [Uint8Array, Uint8Array?]
      writev(file, second ? [first, second.subarray(0, 10)] : [first.subarray(0, 1000)], done)
    }
    t.mock.method(fs, 'writev', writeLess as typeof writev)
    syncBuiltinESMExports()
    try {
      await check(writerOf(directory, 'file'), unique(500_000), 10_000)
    } finally {
      t.mock.restoreAll()
      syncBuiltinESMExports()
    }
  })

  it('is on the disk only when it no longer fits in memory, even as many small pieces', async t => {
    const directory = directoryOf(t)
    for (const [pieces, size, isWritten] of [
      [4, IN_MEMORY / 4, false],
      [5, IN_MEMORY / 4, true],
      [1000, 1, false],
      [2000, 1, true],
    ] as const) {
      const writer = writerOf(directory, `${pieces} of ${size}`)
      const source = new PassThrough()
      const received = writer.receive(source, never)
      // Each separately: a stream passes on what it received while it waited.
      for (let i = 0; i < pieces; i++) source.write(unique(size))
      source.end()
      await received
      // Its descriptor is open by then, or about to be.
      if (isWritten) await until(() => existsSync(writer.path))
      assert.equal(existsSync(writer.path), isWritten, writer.path)
      await writer.close()
      assert.equal(statSync(writer.path).size, pieces * size)
      assert.equal(statSync(writer.path).mode & 0o777, 0o600)
    }
  })

  it('is deleted when it is abandoned, whether or not it was being written', async t => {
    const directory = directoryOf(t)
    for (const size of [0, 1000, 8 * IN_MEMORY]) {
      const writer = writerOf(directory, `${size}`)
      await writer.receive(inPieces(unique(size), 65_536), never)
      await writer.abandon()
      assert.deepEqual(filesBelow(directory), [])
    }
    const halfway = writerOf(directory, 'halfway')
    const aborting = new AbortController()
    const source = new PassThrough()
    const received = assert.rejects(halfway.receive(source, aborting.signal), /enough/)
    source.write(unique(8 * IN_MEMORY))
    await until(() => existsSync(halfway.path))
    aborting.abort(new Error('enough'))
    await received
    await halfway.abandon()
    assert.deepEqual([filesBelow(directory), openBelow(directory)], [[], []])
  })

  it('pauses its source while too much is buffered, and continues after that', async t => {
    const directory = directoryOf(t)
    const { writev } = fs
    let goOn: () => void = () => {}
    const held = new Promise<void>(resolve => {
      goOn = resolve
    })
    const writeLater = (file: number, chunks: Uint8Array[], done: WriteDone) => {
      void held.then(() => writev(file, chunks, done))
    }
    t.mock.method(fs, 'writev', writeLater as typeof writev)
    syncBuiltinESMExports()
    try {
      let given = 0
      const bytes = unique(65_536)
      const source = new Readable({
        highWaterMark: 1,
        read() {
          given += bytes.length
          this.push(given > 100 * bytes.length ? null : bytes)
        },
      })
      const writer = writerOf(directory, 'file')
      const received = writer.receive(source, never)
      await until(() => source.isPaused() && existsSync(writer.path))
      // What is being written, what is buffered, and what the stream has read ahead.
      for (let turns = 0; turns < 20; turns++) await new Promise(resolve => setImmediate(resolve))
      assert.ok(given <= 2 * IN_MEMORY + 4 * bytes.length, `${given} bytes`)
      goOn()
      await received
      await writer.close()
      assert.equal(statSync(writer.path).size, 100 * bytes.length)
    } finally {
      t.mock.restoreAll()
      syncBuiltinESMExports()
    }
  })

  it('leaves nothing on a full disk, and reports that it is full', async t => {
    const directory = smallDisk(t, 400_000)
    if (directory === undefined) return t.skip('needs the right to mount a disk')
    const large = writerOf(directory, 'large')
    const writeAll = async () => {
      await large.receive(inPieces(unique(3_000_000), 65_536), never)
      await large.close()
    }
    await assert.rejects(writeAll(), { code: 'ENOSPC' })
    await large.abandon()
    await check(writerOf(directory, 'first'), unique(200_000))
    const small = writerOf(directory, 'small')
    await small.receive(inPieces(unique(250_000), 65_536), never)
    await assert.rejects(small.close(), { code: 'ENOSPC' })
    await small.abandon()
    assert.deepEqual([filesBelow(directory), openBelow(directory)], [['first'], []])
  })
})

describe('bytes that an app saves', () => {
  it('are not changed, and later changes by the app don’t affect file or hash', async t => {
    const { session } = testCache(t)
    for (const size of [1000, IN_MEMORY, 3_000_000]) {
      const bytes = new Uint8Array(size).fill(1)
      const before = shaOf(bytes)
      const { reached, resume } = pausing(t, 'rename', '.incoming')
      const saved = session().save(bytes, 'a')
      await reached
      assert.equal(shaOf(bytes), before)
      bytes.fill(2)
      resume()
      const { path, sha256 } = await saved
      assert.deepEqual([sha256, shaOf(readFileSync(path))], [before, before])
      assert.deepEqual(bytes, new Uint8Array(size).fill(2))
    }
  })

  it('may change while they are read', async t => {
    const directory = directoryOf(t)
    for (const size of [1000, 3_000_000]) {
      const bytes = new Uint8Array(size).fill(1)
      const source = readableOf(bytes).on('data', () => bytes.fill(2))
      const writer = writerOf(directory, `${size}`)
      const sha256 = await writer.receive(source, never)
      await writer.close()
      assert.equal(sha256, shaOf(readFileSync(writer.path)))
    }
  })
})
