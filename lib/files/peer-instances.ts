import { createHash } from 'node:crypto'
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CachedFile } from '../types.js'
import { isDirectory } from './disk.js'
import { safeName } from './names.js'
import { readOwner, UUID } from './owner.js'
import { directoryOfName, nameOfDirectory } from './saved-directories.js'

/** A file in the directory of another instance. */
export type PeerFile = Pick<CachedFile, 'name' | 'sha256' | 'path'>

/**
 * Finds files in the directories of other instances that use the same cache directory: in a cluster, each process has only some
 * of a session's files. Only reads, and doesn't follow links.
 */
export class PeerInstances {
  readonly #cacheDir: string
  readonly #self: string
  /** Hashes by path, the most recently used last. */
  readonly #hashes = new Map<string, Hashed>()

  /** @param self this instance, whose own directory is skipped */
  constructor(cacheDir: string, self: string) {
    this.#cacheDir = cacheDir
    this.#self = self
  }

  /** Finds a session's file by content and name. */
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
      // In this order, because most instances have no directory of the session: then one call is enough.
      if (!(await isDirectory(directory)) || (await readOwner(instance)) === undefined) return undefined
      for (const saved of (await entriesOf(directory)).filter(isSavedDirectory)) {
        const path = join(directory, saved, name)
        const isThere = await isDirectory(join(directory, saved))
        if (isThere && (await this.#hashOf(path).catch(() => undefined)) === sha256) return path
      }
    } catch {
      // Not readable, or removed meanwhile.
    }
    return undefined
  }

  /** The SHA-256 of a file. It is read again only if it has changed. */
  async #hashOf(path: string): Promise<string | undefined> {
    // The path may have been replaced since it was checked: don't follow a link, and don't wait for a pipe.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const stats = await file.stat({ bigint: true })
      if (!stats.isFile()) return undefined
      const version = versionOf(stats)
      const known = this.#hashes.get(path)
      if (known?.version === version) {
        this.#remember(path, known)
        return await known.sha256
      }
      const isUnchanged = async () => versionOf(await file.stat({ bigint: true })) === version
      const sha256 = hash(file, Number(stats.size)).then(async sha256 =>
        (await isUnchanged()) ? sha256 : undefined,
      )
      const hashed = { version, sha256 }
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
      if (this.#hashes.size <= MAX_HASHES) break
      this.#hashes.delete(oldest)
    }
  }
}

interface Hashed {
  readonly version: string
  /** `undefined` if the file was changed while it was being hashed. */
  readonly sha256: Promise<string | undefined>
}

/** How many hashes are cached. One takes about 300 bytes. */
const MAX_HASHES = 1000
/** Hashing this many bytes blocks the event loop for less than a millisecond. */
const CHUNK_SIZE = 256 * 1024

async function hash(file: FileHandle, size: number): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE)
  for (let at = 0; at < size; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK_SIZE, size - at), at)
    if (bytesRead === 0) throw new Error('Expected to read the whole file, but it became shorter.')
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  return hash.digest('hex')
}

/** Changes with each change of a file. A copy can have the same size and mtime, but not the same inode and ctime. */
function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}

/** Whether a file can be saved under this name. The `_` that `safeName` may add in front is not part of the length limit. */
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
