import { createHash } from 'node:crypto'
import { read } from 'node:fs'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import createDebug from 'debug'

const debug = createDebug('gradio-state:files')

/**
 * What the thread runs: it reads back what was written, from the system's cache of the disk, and hashes it. A string, since
 * a file of its own would be found neither in a bundle nor, as TypeScript, by the loaders of Jest and tsx.
 */
export const PROGRAM = `
const { createHash } = require('node:crypto')
const { readSync } = require('node:fs')
const { parentPort } = require('node:worker_threads')
const buffer = Buffer.allocUnsafeSlow(65536)
const files = new Map()
function work({ id, file, upTo, isLast }) {
  const known = files.get(id) ?? { hash: createHash('sha256'), at: 0 }
  files.set(id, known)
  while (known.at < upTo) {
    const length = readSync(file, buffer, 0, Math.min(buffer.length, upTo - known.at), known.at)
    if (length === 0) throw new Error('an earlier end')
    known.hash.update(buffer.subarray(0, length))
    known.at += length
  }
  if (!isLast) return
  files.delete(id)
  return known.hash.digest('hex')
}
parentPort.on('message', order => {
  let digest
  try {
    digest = work(order)
  } catch {
    files.delete(order.id)
  }
  if (order.isLast) parentPort.postMessage(digest)
})`

/** What the thread is to do: to hash a file up to there, and to give the digest if that is the last. */
interface Order {
  readonly id: number
  readonly file: number
  readonly upTo: number
  readonly isLast: boolean
}

/**
 * Hashes large files while they are written, in one thread for all: on the event loop it would cost a quarter of what it
 * costs to receive them. What the thread can't do is done here, so nothing is lost by its death.
 */
export class Hashers {
  readonly #program: string
  #thread: HasherThread | undefined

  constructor(program = PROGRAM) {
    this.#program = program
  }

  /** @param file a descriptor, which must stay open until `digest` or `drop` has resolved */
  open(file: number): FileHasher {
    if (this.#thread?.isDead !== false) this.#thread = HasherThread.start(this.#program)
    return new FileHasher(file, this.#thread)
  }
}

/** Hashes one file. */
export class FileHasher {
  readonly #id = nextId++
  readonly #file: number
  readonly #thread: HasherThread | undefined
  #upTo = 0

  constructor(file: number, thread: HasherThread | undefined) {
    this.#file = file
    this.#thread = thread
  }

  /** So much is written. The thread is told from time to time: a message costs the event loop more than it hashes. */
  written(upTo: number): void {
    if (upTo - this.#upTo < STEP) return
    this.#upTo = upTo
    this.#thread?.tell({ id: this.#id, file: this.#file, upTo, isLast: false })
  }

  /** The SHA-256 of the whole file, in hex. */
  async digest(size: number): Promise<string> {
    return (await this.#finish(size)) ?? readBack(this.#file, size)
  }

  /** Resolves when the descriptor is used no more. */
  async drop(): Promise<void> {
    await this.#finish(0)
  }

  async #finish(upTo: number): Promise<string | undefined> {
    return this.#thread?.ask({ id: this.#id, file: this.#file, upTo, isLast: true })
  }
}

let nextId = 0

class HasherThread {
  isDead = false
  readonly #worker: Worker
  /** Answers come in the order in which was asked. */
  #asked: ((digest?: string) => void)[] = []

  /** Gives none where the process may have no threads. */
  static start(program: string): HasherThread | undefined {
    try {
      return new HasherThread(program)
    } catch (error) {
      debug('no thread for hashes: %o', error)
      return undefined
    }
  }

  private constructor(program: string) {
    // Without the options and variables of the process: what it was started with (a loader, say) would be loaded once more.
    this.#worker = new Worker(program, { eval: true, execArgv: [], env: {}, name: 'gradio-state' })
    this.#worker.on('message', (digest?: string) => {
      this.#asked.shift()?.(digest)
      if (this.#asked.length === 0) this.#worker.unref()
    })
    this.#worker.on('error', error => debug('the thread for hashes has failed: %o', error))
    // Only now it reads no more, whatever has ended it.
    this.#worker.on('exit', () => {
      this.isDead = true
      for (const tell of this.#asked.splice(0)) tell()
    })
    this.#worker.unref()
  }

  tell(order: Order): void {
    this.#worker.postMessage(order)
  }

  /** Gives nothing when it couldn't be done. */
  ask(order: Order): Promise<string | undefined> {
    return new Promise(resolve => {
      if (this.isDead) return resolve(undefined)
      // Who waits for a file is not to see the process end before.
      if (this.#asked.push(resolve) === 1) this.#worker.ref()
      this.#worker.postMessage(order)
    })
  }
}

async function readBack(file: number, size: number): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(STEP)
  for (let at = 0; at < size; ) {
    const { bytesRead } = await readFile(file, buffer, 0, Math.min(buffer.length, size - at), at)
    if (bytesRead === 0) throw new Error('Expected to read what was written, got an earlier end of the file.')
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  return hash.digest('hex')
}

const readFile = promisify(read)
const STEP = 256 * 1024

/** That of the process: several threads would only take each other's processor. */
export const hashers = new Hashers()
