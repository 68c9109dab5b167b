import { createHash } from 'node:crypto'
import { close, open, unlink, writev } from 'node:fs'
import { Writable } from 'node:stream'
import { promisify } from 'node:util'
import { explainDisk, NEW_FILE, PRIVATE_FILE } from './disk.js'
import type { Reservation } from './quota.js'

/** What is known of bytes that are written and not yet published. */
export interface Ingested {
  readonly path: string
  readonly sha256: string
  readonly size: number
}

type Done = (error?: Error | null) => void

/**
 * Writes bytes into a new file and hashes them as they come; each chunk is reserved before it is written. Small files
 * are kept in memory until their end, so that they cost one write. What is destroyed leaves nothing.
 */
export class Ingest extends Writable {
  readonly path: string
  readonly #reservation: Reservation
  readonly #hash = createHash('sha256')
  #pending: Buffer[] = []
  #pendingBytes = 0
  /** The descriptor. A number: a `FileHandle` costs more than the write of a small file. */
  #file: number | undefined
  /** The system call under way: what it opens has to be closed. */
  #work: Promise<void> = Promise.resolve()
  #size = 0
  #isMade = false
  #isDone = false

  /** @param path of the file to make, in a directory of ours on the file system of the cache */
  constructor(path: string, reservation: Reservation) {
    super({ highWaterMark: 4 * BATCH, decodeStrings: true })
    this.path = path
    this.#reservation = reservation
  }

  /** What was written; only once the stream has finished. */
  result(): Ingested {
    return { path: this.path, sha256: this.#hash.digest('hex'), size: this.#size }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#take([chunk], done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  override _final(done: Done): void {
    const finish = async () => {
      await this.#flush()
      await this.#close()
      this.#isDone = true
    }
    this.#run(finish, done)
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#isDone && error === null) {
      done()
      return
    }
    const clean = async () => {
      await this.#work
      this.#pending = []
      if (!this.#isMade) return
      await this.#close()
      await unlinkFile(this.path)
    }
    clean().then(
      () => done(error),
      failure => done(error ?? failure),
    )
  }

  #take(chunks: Buffer[], done: Done): void {
    try {
      for (const chunk of chunks) {
        this.#reservation.add(chunk.length)
        this.#size += chunk.length
        this.#hash.update(chunk)
        this.#pending.push(chunk)
        this.#pendingBytes += chunk.length
      }
    } catch (error) {
      done(error as Error)
      return
    }
    if (this.#pendingBytes < BATCH) done()
    else this.#run(() => this.#flush(), done)
  }

  #run(work: () => Promise<void>, done: Done): void {
    this.#work = work().then(
      () => done(),
      error => done(explainDisk(error) as Error),
    )
  }

  async #flush(): Promise<void> {
    if (!this.#isMade) {
      this.#file = await openFile(this.path, NEW_FILE, PRIVATE_FILE)
      this.#isMade = true
    }
    const file = this.#file as number
    let chunks = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    while (chunks.length > 0) {
      // The system takes at most 1024 pieces at once (IOV_MAX), and may write less than it was given.
      const { bytesWritten } = await write(file, chunks.slice(0, 1024))
      chunks = rest(chunks, bytesWritten)
    }
  }

  async #close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    if (file !== undefined) await closeFile(file)
  }
}

/** Bytes that are written at once: a call for each chunk of 64 KiB costs the event loop as much as hashing it. */
const BATCH = 256 * 1024

const openFile = promisify(open)
const closeFile = promisify(close)
const unlinkFile = promisify(unlink)
const write = promisify(writev)

function rest(chunks: Buffer[], written: number): Buffer[] {
  let left = written
  const from = chunks.findIndex(chunk => {
    if (chunk.length > left) return true
    left -= chunk.length
    return false
  })
  if (from < 0) return []
  return [(chunks[from] as Buffer).subarray(left), ...chunks.slice(from + 1)]
}
