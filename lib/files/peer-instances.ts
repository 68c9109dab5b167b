import { createHash } from 'node:crypto'
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CachedFile } from '../types.js'
import { isDirectory } from './disk.js'
import { safeName } from './names.js'
import { readOwner, UUID } from './owner.js'
import { directoryOfName, nameOfDirectory } from './saved-directories.js'

/** A file that another instance holds. */
export type PeerFile = Pick<CachedFile, 'name' | 'sha256' | 'path'>

/**
 * What the other instances with the same cache directory hold, as their directories show it: processes of a cluster each
 * have a part of a session's files. Nothing is written, and nothing followed that is a link.
 */
export class PeerInstances {
  readonly #cacheDir: string
  readonly #self: string
  /** What was hashed lately, the latest last. */
  readonly #hashes = new Map<string, Hashed>()

  /** @param self the instance whose own files are known without looking */
  constructor(cacheDir: string, self: string) {
    this.#cacheDir = cacheDir
    this.#self = self
  }

  /** The file of a session that has that content and that name. */
  async find(session: string, sha256: string, name: string): Promise<PeerFile | undefined> {
    if (!UUID.test(session) || !isSafe(name)) return undefined
    for (const instance of await entriesOf(this.#cacheDir)) {
      if (!UUID.test(instance) || instance === this.#self) continue
      const path = await this.#findIn(join(this.#cacheDir, instance), session, sha256, name)
      if (path !== undefined) return { name, sha256, path }
    }
    return undefined
  }

  async #findIn(
    instance: string,
    session: string,
    sha256: string,
    name: string,
  ): Promise<string | undefined> {
    const directory = join(instance, session)
    try {
      // In this order: most peers have nothing of the session, which the first call tells.
      if (!(await isDirectory(directory)) || (await readOwner(instance)) === undefined) return undefined
      for (const saved of (await entriesOf(directory)).filter(isSavedDirectory)) {
        const path = join(directory, saved, name)
        const isThere = await isDirectory(join(directory, saved))
        if (isThere && (await this.#hashOf(path).catch(() => undefined)) === sha256) return path
      }
    } catch {
      // Not readable, or gone meanwhile.
    }
    return undefined
  }

  /** The SHA-256 of a file, which is read only once as long as it stays the same. */
  async #hashOf(path: string): Promise<string | undefined> {
    // Whatever has come into its place since it was looked at: no link is followed, and no pipe waited for.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const stats = await file.stat({ bigint: true })
      if (!stats.isFile()) return undefined
      const mark = markOf(stats)
      const known = this.#hashes.get(path)
      if (known?.mark === mark) {
        this.#remember(path, known)
        return await known.sha256
      }
      const isUnchanged = async () => markOf(await file.stat({ bigint: true })) === mark
      const sha256 = hash(file, Number(stats.size)).then(async sha256 =>
        (await isUnchanged()) ? sha256 : undefined,
      )
      const hashed = { mark, sha256 }
      this.#remember(path, hashed)
      const forget = () => {
        if (this.#hashes.get(path) === hashed) this.#hashes.delete(path)
      }
      sha256.then(sha256 => sha256 ?? forget(), forget)
      return await sha256
    } finally {
      await file.close()
    }
  }

  #remember(path: string, hashed: Hashed): void {
    this.#hashes.delete(path)
    this.#hashes.set(path, hashed)
    for (const oldest of this.#hashes.keys()) {
      if (this.#hashes.size <= REMEMBERED) break
      this.#hashes.delete(oldest)
    }
  }
}

interface Hashed {
  readonly mark: string
  /** `undefined` when the file was written to meanwhile. */
  readonly sha256: Promise<string | undefined>
}

/** Files whose hash is remembered; of one, some 300 bytes. */
const REMEMBERED = 1000
/** Bytes that are hashed at once: a fraction of a millisecond of the event loop. */
const STEP = 256 * 1024

async function hash(file: FileHandle, size: number): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(STEP)
  for (let at = 0; at < size; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(STEP, size - at), at)
    if (bytesRead === 0) throw new Error('Expected to read the whole file, got an earlier end.')
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  return hash.digest('hex')
}

/** Tells whether a file is the one it was: a copy may take over its times and its size, but not its inode and ctime. */
function markOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}

/** Whether it is a name that a file may be saved under. (With what was put before it, one may be longer than others.) */
function isSafe(name: string): boolean {
  return safeName(name) === name || (name.startsWith('_') && safeName(name.slice(1)) === name)
}

function isSavedDirectory(entry: string): boolean {
  const directory = directoryOfName(entry)
  return directory !== undefined && nameOfDirectory(directory) === entry
}

async function entriesOf(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => [])
}
