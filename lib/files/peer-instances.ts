import type { Stats } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { DirectoryAccess, DirectoryHandle } from './directory-handle.js'
import { isDirectory } from './disk.js'
import { safeName } from './names.js'
import { hashOf, type OpenFile } from './open-file.js'
import { readOwner, UUID } from './owner.js'
import { directoryOfName, nameOfDirectory } from './saved-directories.js'
import type { OpenStoredFile } from './stored-file.js'

/** A file in the directory of another instance. */
export interface PeerFile extends OpenStoredFile {
  readonly path: string
}

/**
 * Finds files in the directories of other instances that use the same cache directory: in a cluster, each process has only some
 * of a session's files. Only reads, and doesn't follow links.
 */
export class PeerInstances {
  readonly #cacheDir: string
  readonly #self: string
  readonly #access: DirectoryAccess
  /** Hashes by path, the most recently used last. */
  readonly #hashes = new Map<string, Hashed>()

  /** @param self this instance, whose own directory is skipped */
  constructor(cacheDir: string, self: string, access: DirectoryAccess) {
    this.#cacheDir = cacheDir
    this.#self = self
    this.#access = access
  }

  /** Opens a session's file with this content and name. It has to be closed. */
  async open(session: string, sha256: string, name: string): Promise<PeerFile | undefined> {
    if (!UUID.test(session) || !isSafe(name)) return undefined
    for (const instance of await entriesOf(this.#cacheDir)) {
      if (!UUID.test(instance) || instance === this.#self) continue
      const file = await this.#openIn(join(this.#cacheDir, instance), session, sha256, name)
      if (file !== undefined) return file
    }
    return undefined
  }

  async #openIn(
    instance: string,
    session: string,
    sha256: string,
    name: string,
  ): Promise<PeerFile | undefined> {
    const path = join(instance, session)
    try {
      // In this order, because most instances have no directory of the session: then one call is enough.
      if (!(await isDirectory(path)) || (await readOwner(instance)) === undefined) return undefined
      return await this.#access.use(path, async directory => {
        for (const entry of await directory.entries()) {
          if (!isSavedDirectory(entry.name)) continue
          const file = await this.#openSame(directory, entry.name, sha256, name).catch(() => undefined)
          if (file !== undefined) return file
        }
        return undefined
      })
    } catch {
      // Not readable, or removed in the meantime.
      return undefined
    }
  }

  async #openSame(
    session: DirectoryHandle,
    saved: string,
    sha256: string,
    name: string,
  ): Promise<PeerFile | undefined> {
    const path = join(session.path, saved, name)
    const file = await session.use(saved, directory => directory.open(name))
    if (file === undefined) return undefined
    try {
      if ((await this.#hashOf(path, file)) === sha256)
        return { ...file, path, name, sha256, close: () => file.handle.close() }
    } catch (error) {
      await file.handle.close()
      throw error
    }
    await file.handle.close()
    return undefined
  }

  /** The SHA-256 of an open file. It is read again only if it has changed. */
  async #hashOf(path: string, file: OpenFile): Promise<string | undefined> {
    const version = versionOf(file.stats)
    const known = this.#hashes.get(path)
    if (known?.version === version) {
      this.#remember(path, known)
      return await known.sha256
    }
    const isUnchanged = async () => versionOf(await file.handle.stat()) === version
    const sha256 = hashOf(file).then(async ({ sha256 }) => ((await isUnchanged()) ? sha256 : undefined))
    const hashed = { version, sha256 }
    this.#remember(path, hashed)
    const forget = () => {
      if (this.#hashes.get(path) === hashed) this.#hashes.delete(path)
    }
    sha256.then(sha256 => sha256 ?? forget(), forget)
    return await sha256
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
/** Changes with each change of a file. A copy can have the same size and mtime, but not the same inode and ctime. */
function versionOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs, ctimeMs].join(' ')
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
