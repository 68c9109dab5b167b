import { createHash } from 'node:crypto'
import { close, open, unlink, writev } from 'node:fs'
import { promisify } from 'node:util'
import { BLOCK, giveBlock, takeBlock } from './blocks.js'
import { NEW_FILE, PRIVATE_FILE } from './disk.js'
import { disk as shared } from './disk-thread.js'
import type { Reservation } from './quota.js'
import type { Call, Disk, TripError } from './trips.js'

/** What is known of bytes that are not yet published. */
export interface Ingested {
  readonly path: string
  readonly sha256: string
  readonly size: number
}

/** Who brings the bytes, as far as it is told of them. */
export interface Bringer {
  /** There is room again. */
  goOn(): void
  failed(error: unknown): void
}

/**
 * Takes the bytes of one file; each chunk is reserved first. Those of a small file are kept in memory until `close`, so
 * that it costs one trip to the disk, or none when it is abandoned for its twin; those of a large one are written while
 * they come. `close` or `abandon` has to follow.
 */
export class Ingest {
  readonly path: string
  bringer: Bringer | undefined
  readonly #reservation: Reservation
  readonly #disk: Disk
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #size = 0
  #written = 0
  /** The whole of a small file, when all was taken. */
  #block: Uint8Array | undefined
  /** The descriptor of a large file. */
  #file: number | undefined
  #isMade = false
  /** What a large file is called where it is hashed, and how far that was ordered. */
  readonly #id = nextId++
  #hashed = 0
  /** The writes under way: what they open has to be closed. */
  #writing: Promise<void> | undefined

  /** @param path of the file to make, in a directory of ours on the file system of the cache */
  constructor(path: string, reservation: Reservation, disk: Disk = shared) {
    this.path = path
    this.#reservation = reservation
    this.#disk = disk
  }

  /**
   * Tells whether there is room for more.
   * @throws GradioStateError when the bytes don't fit into a limit
   */
  take(chunk: Uint8Array): boolean {
    this.#reservation.add(chunk.length)
    this.#size += chunk.length
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.length
    const least = this.#isMade ? PIECE : BLOCK
    if (this.#writing === undefined && this.#pendingBytes > least) {
      this.#writing = this.#write(PIECE)
      this.#writing.catch(error => this.bringer?.failed(error))
    }
    return this.#size - this.#written < WINDOW
  }

  /** To be called when all was taken. */
  async finish(): Promise<Ingested> {
    await this.#writing
    return { path: this.path, sha256: await this.#digest(), size: this.#size }
  }

  /**
   * Writes what is still in memory, closes the file, and goes on to `then`. When that fails, it can be called again.
   */
  async close(...then: Call[]): Promise<void> {
    await this.#close()
    if (this.#block === undefined) return void (await this.#disk.run(then))
    const bytes = this.#block.subarray(0, this.#size)
    try {
      await this.#disk.run([['create', this.path, bytes], ...then])
      this.#isMade = true
    } catch (error) {
      this.#isMade = (error as TripError).done > 0
      throw error
    } finally {
      if (this.#isMade) this.#freeBlock()
    }
  }

  /** Leaves nothing. */
  async abandon(): Promise<void> {
    this.#pending = []
    this.#pendingBytes = 0
    this.#freeBlock()
    // Why it has failed is known to who gives up. A descriptor that is used after its end may be another file's.
    await this.#writing?.catch(() => {})
    if (this.#file !== undefined) await this.#disk.run([['forget', this.#id]])
    await this.#close()
    if (this.#isMade) await unlinkFile(this.path)
  }

  async #digest(): Promise<string> {
    if (this.#file !== undefined) {
      this.#writing = this.#write(0)
      await this.#writing
      return (await this.#disk.run([['digest', this.#id, this.#file, this.#size]])) as string
    }
    // A copy: an app may use its own bytes again before they are written.
    this.#block = takeBlock(this.#size)
    let at = 0
    for (const chunk of this.#pending.splice(0)) {
      this.#block.set(chunk, at)
      at += chunk.length
    }
    return createHash('sha256').update(this.#block.subarray(0, at)).digest('hex')
  }

  /** Writes until at most `rest` bytes are left. */
  async #write(rest: number): Promise<void> {
    const file = this.#file ?? (await this.#make())
    /** Where each of them ends, in the order of the file. */
    const underWay: Promise<number>[] = []
    try {
      for (;;) {
        if (this.#pendingBytes > rest && underWay.length < DEPTH) {
          const from = this.#size - this.#pendingBytes
          const piece = this.#cut()
          const to = this.#size - this.#pendingBytes
          const written = writeAll(file, piece, from).then(() => to)
          written.catch(() => {})
          underWay.push(written)
        } else {
          const oldest = underWay.shift()
          if (oldest === undefined) break
          this.#written = await oldest
          this.#hash(file)
          if (this.#size - this.#written < WINDOW / 2) this.bringer?.goOn()
        }
      }
    } finally {
      await Promise.allSettled(underWay)
    }
    this.#writing = undefined
  }

  /** Takes the pending bytes that are to be written at once. */
  #cut(): Uint8Array[] {
    const piece: Uint8Array[] = []
    let room = PIECE
    for (const chunk of this.#pending) {
      if (chunk.length > room) break
      piece.push(chunk)
      room -= chunk.length
    }
    this.#pending.splice(0, piece.length)
    const [long] = this.#pending
    if (piece.length === 0 && long !== undefined) {
      piece.push(long.subarray(0, PIECE))
      this.#pending[0] = long.subarray(PIECE)
      room = 0
    }
    this.#pendingBytes -= PIECE - room
    return piece
  }

  /** From time to time: an order costs the event loop as much as a good part of the hashing. */
  #hash(file: number): void {
    if (this.#written - this.#hashed < STEP) return
    this.#hashed = this.#written
    // What has failed here is done by the digest.
    this.#disk.run([['hash', this.#id, file, this.#written]]).catch(() => {})
  }

  async #make(): Promise<number> {
    this.#file = await openFile(this.path, NEW_FILE, PRIVATE_FILE)
    this.#isMade = true
    return this.#file
  }

  #freeBlock(): void {
    if (this.#block !== undefined) giveBlock(this.#block)
    this.#block = undefined
  }

  async #close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    if (file !== undefined) await closeFile(file)
  }
}

/**
 * Bytes that are written at once. To wake a thread of the pool costs the event loop more than the call: by 64 KiB, 1 GB
 * took it a sixth longer, and all threads together a quarter. By 512 KiB the processor's cache is too small.
 */
const PIECE = 256 * 1024
/** Bytes that are hashed at once. */
const STEP = 1024 * 1024
/** Writes of one file that are under way at once: as many as the thread pool has threads. */
const DEPTH = 4
/** Bytes of one file that wait to be written. */
const WINDOW = 2 * 1024 * 1024

let nextId = 0

const openFile = promisify(open)
const closeFile = promisify(close)
const unlinkFile = promisify(unlink)
const writeFile = promisify(writev)

async function writeAll(file: number, chunks: Uint8Array[], at: number): Promise<void> {
  let left = chunks.filter(({ length }) => length > 0)
  while (left.length > 0) {
    // The system takes at most 1024 pieces at once (IOV_MAX), and may write less than it was given.
    const { bytesWritten } = await writeFile(file, left.slice(0, 1024), at)
    at += bytesWritten
    left = rest(left, bytesWritten)
  }
}

function rest(chunks: Uint8Array[], written: number): Uint8Array[] {
  let left = written
  const from = chunks.findIndex(chunk => {
    if (chunk.length > left) return true
    left -= chunk.length
    return false
  })
  if (from < 0) return []
  return [(chunks[from] as Uint8Array).subarray(left), ...chunks.slice(from + 1)]
}
