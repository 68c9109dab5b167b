import { Worker } from 'node:worker_threads'
import createDebug from 'debug'
import { NEW_FILE, PRIVATE_DIRECTORY, PRIVATE_FILE } from './disk.js'
import { type Disk, pool, type Trip, type TripError } from './trips.js'

const debug = createDebug('gradio-state:files')

/**
 * What the thread runs. What it hashes it reads back, from the system's cache of the disk. A string, since a file of its
 * own would be found neither in a bundle nor, as TypeScript, by the loaders of Jest and tsx.
 */
export const PROGRAM = `
const { createHash } = require('node:crypto')
const { closeSync, lstatSync, mkdirSync, openSync, readSync, renameSync, rmdirSync, unlinkSync, writeSync } = require('node:fs')
const { parentPort } = require('node:worker_threads')
const buffer = Buffer.allocUnsafeSlow(65536)
const hashes = new Map()
const fail = (code, path) => {
  throw Object.assign(new Error(code + ": lstat '" + path + "'"), { code, syscall: 'lstat', path })
}
function unless(codes, call) {
  try {
    call()
  } catch (error) {
    if (!codes.includes(error.code)) throw error
  }
}
function hash(id, file, upTo) {
  const known = hashes.get(id) ?? { hash: createHash('sha256'), at: 0 }
  hashes.set(id, known)
  while (known.at < upTo) {
    const length = readSync(file, buffer, 0, Math.min(buffer.length, upTo - known.at), known.at)
    if (length === 0) throw new Error('an earlier end')
    known.hash.update(buffer.subarray(0, length))
    known.at += length
  }
  return known.hash
}
const calls = {
  create(path, bytes) {
    const file = openSync(path, ${NEW_FILE}, ${PRIVATE_FILE})
    try {
      try {
        for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, at)
      } finally {
        closeSync(file)
      }
    } catch (error) {
      try {
        unlinkSync(path)
      } catch {}
      throw error
    }
  },
  mkdir(path) {
    unless(['EEXIST'], () => mkdirSync(path, ${PRIVATE_DIRECTORY}))
  },
  directory(path) {
    if (!lstatSync(path).isDirectory()) fail('ENOTDIR', path)
  },
  absent(path) {
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) fail('EEXIST', path)
  },
  rename: renameSync,
  unlink(path) {
    unless(['ENOENT'], () => unlinkSync(path))
  },
  rmdir(path) {
    unless(['ENOENT', 'ENOTEMPTY', 'EEXIST'], () => rmdirSync(path))
  },
  hash(id, file, upTo) {
    hash(id, file, upTo)
  },
  digest(id, file, size) {
    try {
      return hash(id, file, size).digest('hex')
    } finally {
      hashes.delete(id)
    }
  },
  forget(id) {
    hashes.delete(id)
  },
}
parentPort.on('message', trip => {
  let done = 0
  let result
  try {
    for (const [name, ...args] of trip) {
      result = calls[name](...args)
      done++
    }
    parentPort.postMessage({ result })
  } catch (error) {
    const { message, code, errno, syscall, path } = Object(error)
    parentPort.postMessage({ error: { message, code, errno, syscall, path, done } })
  }
})`

interface Answer {
  readonly result?: unknown
  readonly error?: TripError
}

/**
 * One thread that works for all uploads of the process: it hashes large files, which on the event loop would cost a quarter
 * of what it costs to receive them, and it puts small ones in their place; and it removes files. The pool would have to be woken for each
 * system call by itself, and that costs the event loop more than the call. What the thread can't do, the pool does.
 */
export class DiskThread implements Disk {
  readonly #program: string
  #thread: RunningThread | undefined

  constructor(program = PROGRAM) {
    this.#program = program
  }

  async run(trip: Trip): Promise<unknown> {
    // One that has died without doing anything would do so again.
    if (this.#thread === undefined || (this.#thread.isDead && this.#thread.hasWorked))
      this.#thread = new RunningThread(this.#program)
    const answer = await this.#thread.ask(trip)
    if (answer === undefined) return pool.run(trip)
    const { error, result } = answer
    if (error === undefined) return result
    // What fails without a code has failed in the thread, not on the disk.
    if (error.code === undefined) return pool.run(trip, error.done)
    throw Object.assign(new Error(error.message), error)
  }
}

class RunningThread {
  isDead = false
  hasWorked = false
  readonly #worker: Worker | undefined
  /** Answers come in the order in which was asked. */
  #asked: ((answer?: Answer) => void)[] = []

  constructor(program: string) {
    try {
      // Without the options and variables of the process: what it was started with (a loader, say) would be loaded once
      // more.
      this.#worker = new Worker(program, { eval: true, execArgv: [], env: {}, name: 'gradio-state' })
    } catch (error) {
      debug('no thread for the disk: %o', error)
      this.isDead = true
      return
    }
    this.#worker.on('message', (answer: Answer) => {
      this.hasWorked = true
      this.#asked.shift()?.(answer)
      if (this.#asked.length === 0) this.#worker?.unref()
    })
    this.#worker.on('error', error => debug('the thread for the disk has failed: %o', error))
    // Only now it does nothing more, whatever has ended it.
    this.#worker.on('exit', () => {
      this.isDead = true
      for (const tell of this.#asked.splice(0)) tell()
    })
    this.#worker.unref()
  }

  /** Gives nothing when it couldn't be done. */
  ask(trip: Trip): Promise<Answer | undefined> {
    return new Promise(resolve => {
      if (this.isDead) return resolve(undefined)
      // Who waits for a file is not to see the process end before.
      if (this.#asked.push(resolve) === 1) this.#worker?.ref()
      this.#worker?.postMessage(trip)
    })
  }
}

/** That of the process: several threads would only take each other's processor. */
export const disk = new DiskThread()
