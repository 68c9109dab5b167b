import { createHash } from 'node:crypto'
import { close, open, read, write } from 'node:fs'
import { lstat, mkdir, rename, unlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import { codeOf, NEW_FILE, PRIVATE_DIRECTORY, PRIVATE_FILE, removeIfEmpty, unlinkIfThere } from './disk.js'

/** What can be asked of a disk. A descriptor is a number, and good in all threads of the process. */
export interface Calls {
  /**
   * Makes a whole file, or leaves nothing. At a path that nobody else uses: what is there was left by a thread that has
   * died over it.
   */
  create(path: string, bytes: Uint8Array): void
  /** Makes a directory, unless something is there: what, `directory` tells. */
  mkdir(path: string): void
  /** Fails with ENOTDIR unless there is a directory, and no link to one. */
  directory(path: string): void
  /** Fails with EEXIST when there is anything, a link too. */
  absent(path: string): void
  rename(from: string, to: string): void
  /** Removes a file, or the link that is in its place; what isn't there is removed. */
  unlink(path: string): void
  /** Removes a directory, if it is there and empty. */
  rmdir(path: string): void
  /** Hashes what is written of a file, up to there. It must stay open until `digest` or `forget` has answered. */
  hash(id: number, file: number, upTo: number): void
  /** The SHA-256 of the whole file, in hex. */
  digest(id: number, file: number, size: number): string
  forget(id: number): void
}

export type Call = { [Name in keyof Calls]: readonly [Name, ...Parameters<Calls[Name]>] }[keyof Calls]

/** Several calls, one after the other, until one fails. What another thread is woken for costs less in one trip. */
export type Trip = readonly Call[]

export interface Disk {
  /**
   * Gives what the last call gives. Bytes must stay as they are until then.
   * @throws TripError
   */
  run(trip: Trip): Promise<unknown>
}

/** A system call has failed. */
export interface TripError extends NodeJS.ErrnoException {
  /** How many calls of the trip were done before. */
  done: number
}

/** In the thread pool of Node.js, one trip to it for each call. */
export const pool = {
  /** @param done how many of the calls were done before, and elsewhere */
  async run(trip: Trip, done = 0): Promise<unknown> {
    let result: unknown
    try {
      for (const call of trip.slice(done)) {
        result = await perform(call)
        done++
      }
    } catch (error) {
      throw Object.assign(error as Error, { done })
    }
    return result
  },
} satisfies Disk

async function perform(call: Call): Promise<unknown> {
  switch (call[0]) {
    case 'create':
      return create(call[1], call[2])
    case 'mkdir':
      return makeUnlessThere(call[1])
    case 'directory':
      if (!(await lstat(call[1])).isDirectory()) throw failure('ENOTDIR', call[1])
      return
    case 'absent':
      if (await isThere(call[1])) throw failure('EEXIST', call[1])
      return
    case 'rename':
      return rename(call[1], call[2])
    case 'unlink':
      return unlinkIfThere(call[1])
    case 'rmdir':
      return removeIfEmpty(call[1])
    case 'digest':
      return readBack(call[2], call[3])
    case 'hash':
    case 'forget':
      // All is read for the digest: nobody waits for it on the event loop meanwhile.
      return
  }
}

async function makeUnlessThere(path: string): Promise<void> {
  try {
    await mkdir(path, PRIVATE_DIRECTORY)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

async function create(path: string, bytes: Uint8Array): Promise<void> {
  const file = await openNew(path)
  try {
    try {
      for (let at = 0; at < bytes.length; )
        at += (await writeFile(file, bytes, at, bytes.length - at, at)).bytesWritten
    } finally {
      await closeFile(file)
    }
  } catch (error) {
    await unlink(path).catch(() => {})
    throw error
  }
}

async function openNew(path: string): Promise<number> {
  try {
    return await openFile(path, NEW_FILE, PRIVATE_FILE)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    await unlink(path)
    return openFile(path, NEW_FILE, PRIVATE_FILE)
  }
}

async function readBack(file: number, size: number): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(256 * 1024)
  for (let at = 0; at < size; ) {
    const { bytesRead } = await readFile(file, buffer, 0, Math.min(buffer.length, size - at), at)
    if (bytesRead === 0) throw new Error('Expected to read what was written, got an earlier end of the file.')
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  return hash.digest('hex')
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    return false
  }
}

function failure(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: lstat '${path}'`), { code, syscall: 'lstat', path })
}

const openFile = promisify(open)
const readFile = promisify(read)
const writeFile = promisify(write)
const closeFile = promisify(close)
