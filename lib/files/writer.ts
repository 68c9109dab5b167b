import { createHash } from 'node:crypto'
import { close, constants, fstat, futimes, open, writev } from 'node:fs'
import { finished, type Readable } from 'node:stream'
import { promisify } from 'node:util'
import { PRIVATE_FILE, unlinkIfThere } from './disk.js'
import { versionOf } from './open-file.js'

/**
 * Writes one file while its bytes arrive. Each chunk is reserved and hashed before it is written. A small file stays in memory
 * until `close`, so that a duplicate of a saved file is never written. Either `close` or `abandon` must be called.
 */
export class FileWriter {
  readonly path: string
  readonly #context: WriterContext
  readonly #hash = createHash('sha256')
  #size = 0
  /** Chunks that are not being written yet. */
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #descriptor: number | undefined
  #isCreated = false
  #isWriting = false
  /** The last write. The descriptor must not be closed before it has finished. */
  #writing: Promise<unknown> = Promise.resolve()

  /** @param path of the file to create, in a directory that only the library writes to */
  constructor(path: string, context: WriterContext) {
    this.path = path
    this.#context = context
  }

  get size(): number {
    return this.#size
  }

  /**
   * Reads `source` to its end. If that fails or is aborted, the caller has to handle the rest of the source: a part of a
   * multipart body has to be read, others have to be destroyed.
   * @returns the SHA-256 of all bytes, in hex
   * @throws GradioStateError if the bytes exceed a limit
   */
  receive(source: Readable, signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      let isSettled = false
      /** Chunks that wait until there is room for them. */
      let waiting: Promise<void> | undefined
      const settle = (error?: unknown) => {
        if (isSettled) return
        isSettled = true
        source.off('data', onData).pause()
        signal.removeEventListener('abort', onAbort)
        if (error) reject(error as Error)
        else resolve(this.#hash.digest('hex'))
      }
      const onAbort = () => settle(signal.reason)
      const resume = () => {
        if (!isSettled && waiting === undefined && source.isPaused()) source.resume()
      }
      const writeIfFull = () => {
        if (!this.#isFull) return
        if (!this.#isWriting) this.#write(resume).catch(settle)
        if (this.#isFull) source.pause()
      }
      const wait = (chunk: Uint8Array, reserve: () => Promise<void>) => {
        source.pause()
        const taken = reserve().then(() => {
          if (isSettled) return
          this.#take(chunk)
          if (waiting !== taken) return
          waiting = undefined
          writeIfFull()
          if (!this.#isFull) resume()
        })
        waiting = taken
        taken.catch(settle)
      }
      const onData = (data: Uint8Array | string) => {
        // A stream with an encoding emits strings.
        const chunk = typeof data === 'string' ? Buffer.from(data) : data
        const reserveLater = async () => {
          if (!isSettled) await this.#context.reserveLater(chunk.length)
        }
        const earlier = waiting
        if (earlier !== undefined) return wait(chunk, () => earlier.then(reserveLater))
        try {
          this.#context.reserve(chunk.length)
        } catch {
          return wait(chunk, reserveLater)
        }
        this.#take(chunk)
        writeIfFull()
      }
      signal.addEventListener('abort', onAbort)
      // Unlike the events, `finished` also reports that the source was already destroyed.
      finished(source, { writable: false }, error => {
        if (error || waiting === undefined) settle(error)
        else waiting.then(() => settle(), settle)
      })
      source.on('data', onData).resume()
    })
  }

  /** Writes what is still in memory, and closes the file. @returns its version, see `versionOf` */
  async close(): Promise<string> {
    await this.#writing
    const descriptor = await this.#write(() => {})
    // A file system may store times in steps of up to 2 s. The app may write to the file at once, and its mtime has to change.
    await setTimes(descriptor, new Date(), Math.floor(Date.now() / 1000) - 2)
    const version = versionOf(await stat(descriptor))
    await this.#close()
    return version
  }

  /** Deletes the file. */
  async abandon(): Promise<void> {
    this.#pending = []
    this.#pendingBytes = 0
    // The caller already knows why the write failed.
    await this.#writing.catch(() => {})
    await this.#close()
    if (this.#isCreated) await unlinkIfThere(this.path)
  }

  get #isFull(): boolean {
    return this.#pendingBytes > BUFFER_SIZE || this.#pending.length >= MAX_CHUNKS
  }

  /** Hashes and writes a chunk that has been reserved. */
  #take(chunk: Uint8Array): void {
    this.#hash.update(chunk)
    this.#size += chunk.length
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.length
  }

  /** Writes all pending chunks, including those that are added in the meantime. @param drained called when no chunk is pending */
  #write(drained: () => void): Promise<number> {
    const write = async () => {
      this.#isWriting = true
      try {
        this.#descriptor ??= await this.#create()
        while (this.#pending.length > 0) {
          const chunks = this.#pending
          this.#pending = []
          this.#pendingBytes = 0
          drained()
          await writeAll(this.#descriptor, chunks)
        }
        return this.#descriptor
      } finally {
        this.#isWriting = false
      }
    }
    const writing = write()
    this.#writing = writing
    return writing
  }

  async #create(): Promise<number> {
    const descriptor = await this.#context.withRepair(() => openFile(this.path, NEW_FILE, PRIVATE_FILE))
    this.#isCreated = true
    return descriptor
  }

  async #close(): Promise<void> {
    const descriptor = this.#descriptor
    this.#descriptor = undefined
    if (descriptor !== undefined) await closeFile(descriptor)
  }
}

/** What {@link FileWriter} needs from its caller. */
export interface WriterContext {
  /** Reserves bytes before they are written. @throws GradioStateError if they exceed a limit */
  reserve(bytes: number): void
  /** The same, for bytes that may have exceeded a limit: makes room first. */
  reserveLater(bytes: number): Promise<void>
  /** Runs the task that creates the file, and again if the directory was deleted. */
  withRepair<T>(task: () => Promise<T>): Promise<T>
}

/** How many bytes are buffered before they are written. As many again may be in the current write. */
const BUFFER_SIZE = 256 * 1024
/** IOV_MAX, the most chunks that `writev` takes. Also limits the memory of many tiny chunks. */
const MAX_CHUNKS = 1024
/** Fails if the path exists, even if it is a link. */
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY

const openFile = promisify(open)
const closeFile = promisify(close)
const setTimes = promisify(futimes)
const stat = promisify(fstat)

async function writeAll(descriptor: number, chunks: Uint8Array[]): Promise<void> {
  let remaining = chunks.filter(({ length }) => length > 0)
  while (remaining.length > 0) {
    // The system may write only a part.
    remaining = afterBytes(remaining, await write(descriptor, remaining.slice(0, MAX_CHUNKS)))
  }
}

function write(descriptor: number, chunks: Uint8Array[]): Promise<number> {
  return new Promise((resolve, reject) =>
    writev(descriptor, chunks, (error, written) => (error ? reject(error) : resolve(written))),
  )
}

/** The rest of `chunks` after the first `written` bytes. */
function afterBytes(chunks: Uint8Array[], written: number): Uint8Array[] {
  let skipped = written
  const from = chunks.findIndex(chunk => {
    if (chunk.length > skipped) return true
    skipped -= chunk.length
    return false
  })
  if (from < 0) return []
  return [(chunks[from] as Uint8Array).subarray(skipped), ...chunks.slice(from + 1)]
}
