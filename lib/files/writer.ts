import { createHash } from 'node:crypto'
import { close, constants, open, writev } from 'node:fs'
import { finished, type Readable } from 'node:stream'
import { promisify } from 'node:util'
import { PRIVATE_FILE, unlinkIfThere } from './disk.js'
import type { Reservation } from './quota.js'

/**
 * Writes one file as its bytes come, each of which is reserved and hashed first. A small file stays in memory until `close`,
 * so that a duplicate of one that is there costs the disk nothing. Either `close` or `abandon` has to follow.
 */
export class FileWriter {
  readonly path: string
  readonly #reservation: Reservation
  readonly #hash = createHash('sha256')
  #size = 0
  /** What isn't yet being written. */
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #descriptor: number | undefined
  #isCreated = false
  #isWriting = false
  /** The last write: the descriptor must not be closed before it has ended. */
  #writing: Promise<void> = Promise.resolve()

  /** @param path of the file to create, in a directory of ours on the file system of the cache */
  constructor(path: string, reservation: Reservation) {
    this.path = path
    this.#reservation = reservation
  }

  get size(): number {
    return this.#size
  }

  /**
   * Reads `source` to its end. When that fails, or at the signal, the rest of the source is left to the caller, who knows
   * whether it has to be read, as a part of a multipart body, or destroyed.
   * @returns the SHA-256 of all bytes, in hex
   * @throws GradioStateError when they don't fit into a limit
   */
  receive(source: Readable, signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      let isSettled = false
      const settle = (error?: unknown) => {
        if (isSettled) return
        isSettled = true
        source.off('data', take).pause()
        signal.removeEventListener('abort', stop)
        if (error) reject(error as Error)
        else resolve(this.#hash.digest('hex'))
      }
      const stop = () => settle(signal.reason)
      const resume = () => {
        if (!isSettled && source.isPaused()) source.resume()
      }
      const take = (chunk: Uint8Array | string) => {
        try {
          // A stream with an encoding gives text.
          this.#add(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
        } catch (error) {
          return settle(error)
        }
        if (!this.#isFull) return
        if (!this.#isWriting) this.#write(resume).catch(settle)
        if (this.#isFull) source.pause()
      }
      signal.addEventListener('abort', stop)
      // Unlike the events by themselves, this also tells of a source that was destroyed before.
      finished(source, { writable: false }, settle)
      source.on('data', take).resume()
    })
  }

  /** Writes what is still in memory: the file is whole then. */
  async close(): Promise<void> {
    await this.#writing
    await this.#write(() => {})
    await this.#close()
  }

  /** Leaves nothing. */
  async abandon(): Promise<void> {
    this.#waiting = []
    this.#waitingBytes = 0
    // Who gives up knows the reason.
    await this.#writing.catch(() => {})
    await this.#close()
    if (this.#isCreated) await unlinkIfThere(this.path)
  }

  get #isFull(): boolean {
    return this.#waitingBytes > IN_MEMORY || this.#waiting.length >= MOST_CHUNKS
  }

  #add(chunk: Uint8Array): void {
    this.#reservation.add(chunk.length)
    this.#hash.update(chunk)
    this.#size += chunk.length
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
  }

  /** Writes what waits, and what comes to wait meanwhile. */
  #write(drained: () => void): Promise<void> {
    const write = async () => {
      this.#isWriting = true
      try {
        this.#descriptor ??= await this.#create()
        while (this.#waiting.length > 0) {
          const chunks = this.#waiting
          this.#waiting = []
          this.#waitingBytes = 0
          drained()
          await writeAll(this.#descriptor, chunks)
        }
      } finally {
        this.#isWriting = false
      }
    }
    this.#writing = write()
    return this.#writing
  }

  async #create(): Promise<number> {
    const descriptor = await openFile(this.path, NEW_FILE, PRIVATE_FILE)
    this.#isCreated = true
    return descriptor
  }

  async #close(): Promise<void> {
    const descriptor = this.#descriptor
    this.#descriptor = undefined
    if (descriptor !== undefined) await closeFile(descriptor)
  }
}

/** Bytes of a file that are kept in memory; as many may be being written beside. */
const IN_MEMORY = 256 * 1024
/** How many chunks a system call takes (IOV_MAX). One byte at a time, they would take far more memory than they have bytes. */
const MOST_CHUNKS = 1024
/** Fails when there is anything of that name, a link too. */
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY

const openFile = promisify(open)
const closeFile = promisify(close)

async function writeAll(descriptor: number, chunks: Uint8Array[]): Promise<void> {
  let left = chunks.filter(({ length }) => length > 0)
  while (left.length > 0) {
    // The system may write less than it was given.
    left = rest(left, await write(descriptor, left.slice(0, MOST_CHUNKS)))
  }
}

function write(descriptor: number, chunks: Uint8Array[]): Promise<number> {
  return new Promise((resolve, reject) =>
    writev(descriptor, chunks, (error, written) => (error ? reject(error) : resolve(written))),
  )
}

/** What is left of `chunks` after so many bytes. */
function rest(chunks: Uint8Array[], written: number): Uint8Array[] {
  let skipped = written
  const from = chunks.findIndex(chunk => {
    if (chunk.length > skipped) return true
    skipped -= chunk.length
    return false
  })
  if (from < 0) return []
  return [(chunks[from] as Uint8Array).subarray(skipped), ...chunks.slice(from + 1)]
}
