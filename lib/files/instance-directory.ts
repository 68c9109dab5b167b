import { lstatSync, type Stats, statSync } from 'node:fs'
import { mkdir, realpath, rename, utimes, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { v4 as uuid } from 'uuid'
import { warnOfWritableCacheDir } from '../warnings.js'
import { DirectoryAccess } from './directory-handle.js'
import {
  codeOf,
  entriesIfThere,
  explainDiskFull,
  isDirectory,
  PRIVATE_DIRECTORY,
  PRIVATE_FILE,
  unlessCode,
  unsafe,
} from './disk.js'
import { type OpenFile, openFile } from './open-file.js'
import { OWNER_FILE, type Owner, ownerOf } from './owner.js'

/** The directory of one `gradioState()` instance in the cache directory. Created when the first file is saved. */
export class InstanceDirectory {
  readonly cacheDir: string
  readonly owner: Owner
  readonly path: string
  /** The directory for files that are being written. */
  readonly incoming: string
  readonly #trash: string
  /** The directory of the blobs that all sessions share; `undefined` without `dedup: 'cache'`. */
  readonly blobs: string | undefined
  /** Opens directories in this one that the app may write to. */
  readonly access = new DirectoryAccess()
  readonly #isDefault: boolean
  #created: Promise<void> | undefined
  #repairing: Promise<void> | undefined
  #isClosed = false

  /**
   * @param isDefault whether `cacheDir` is the default, which is in a directory that all users share: then it must belong to this
   * user, and no other user may write to it
   * @param hasBlobs whether files with the same bytes are shared by all sessions
   * @param name the name of the directory, a UUID
   * @throws GradioStateError `CACHE_DIR_UNSAFE`
   */
  constructor(cacheDir: string, isDefault: boolean, hasBlobs: boolean, name = uuid()) {
    this.cacheDir = cacheDir
    this.#isDefault = isDefault
    this.owner = ownerOf(name)
    this.path = join(cacheDir, this.owner.instance)
    this.incoming = join(this.path, '.incoming')
    this.#trash = join(this.path, '.trash')
    this.blobs = hasBlobs ? join(this.path, 'blobs') : undefined
    this.#check()
  }

  get exists(): boolean {
    return this.#created !== undefined
  }

  /** Creates the directory atomically, at the first call. */
  create(): Promise<void> {
    this.#created ??= this.#create().catch(error => {
      this.#created = undefined
      throw explainDiskFull(error)
    })
    return this.#created
  }

  /**
   * Opens a file that the app has named. In the directories of sessions, where others may put links at any time, no part of the path
   * may be a link; elsewhere not the last part.
   * @returns `undefined` if there is no regular file
   */
  async open(path: string): Promise<OpenFile | undefined> {
    const absolute = resolve(path)
    for (const root of [this.path, await realpath(this.path).catch(() => this.path)]) {
      const below = relative(root, absolute)
      if (below !== '' && !below.startsWith('..') && !isAbsolute(below))
        return this.access.openBelow(root, below)
    }
    return openFile(absolute)
  }

  /** Shows instances on other machines and in other containers that this process is alive. */
  async renewLease(): Promise<void> {
    if (this.#created === undefined || this.#isClosed) return
    await this.#created
    const now = new Date()
    try {
      for (const name of [OWNER_FILE, ...this.#subdirectories]) await utimes(join(this.path, name), now, now)
    } catch (error) {
      if (this.#isClosed) return
      if (codeOf(error) !== 'ENOENT') throw error
      await this.#repair()
    }
  }

  /** Runs `task`, and again if something has deleted the directory: some systems clean up their temporary directories. */
  async withRepair<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task()
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
    }
    await this.#repair()
    return task()
  }

  /**
   * Removes a directory with its contents. It is first renamed into the trash, so that its path is free immediately. Does nothing
   * if it doesn't exist.
   */
  async discard(path: string): Promise<void> {
    if (!this.exists) return
    let discarded = join(this.#trash, uuid())
    try {
      await rename(path, discarded)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      // Either the directory or the trash doesn't exist: some systems clean up their temporary directories.
      discarded = path
    }
    await this.access.removeTree(discarded)
  }

  /** Removes the directory of this instance. */
  async remove(): Promise<void> {
    if (this.#created === undefined) return
    this.#isClosed = true
    await this.#created.catch(() => {})
    // If the process dies in the meantime, others can still identify the rest by its name and `owner.json`, which is deleted last.
    try {
      await rename(this.path, this.#incompletePath)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return
      throw error
    }
    for (const name of await entriesIfThere(this.#incompletePath))
      if (name !== OWNER_FILE) await this.access.removeTree(join(this.#incompletePath, name))
    await this.access.removeTree(this.#incompletePath)
  }

  #check(): Stats | undefined {
    const found = lstatSync(this.cacheDir, { throwIfNoEntry: false })
    if (found === undefined) return undefined
    if (!this.#isDefault) {
      // The app may choose a link to a directory.
      if (!found.isDirectory() && !found.isSymbolicLink()) throw unsafe(this.cacheDir, 'it is a file')
      if (isReplaceable(this.cacheDir)) warnOfWritableCacheDir(this.cacheDir)
      return found
    }
    if (!found.isDirectory()) throw unsafe(this.cacheDir, 'it is a link or a file')
    if (process.getuid !== undefined && found.uid !== process.getuid()) {
      throw unsafe(this.cacheDir, 'it belongs to another user')
    }
    if (process.platform !== 'win32' && (found.mode & 0o022) !== 0)
      throw unsafe(this.cacheDir, 'other users can write to it')
    return found
  }

  async #create(): Promise<void> {
    if (this.#isDefault) {
      await mkdir(dirname(this.cacheDir), { recursive: true })
      await mkdir(this.cacheDir, { mode: PRIVATE_DIRECTORY }).catch(unlessCode('EEXIST'))
      // Another user may have created it in the meantime, because all users can write to the parent directory.
      this.#check()
    } else {
      await mkdir(this.cacheDir, { recursive: true, mode: PRIVATE_DIRECTORY })
    }
    try {
      await mkdir(this.#incompletePath, { mode: PRIVATE_DIRECTORY })
      await this.#populate(this.#incompletePath)
      await this.access.probe(join(this.#incompletePath, '.incoming'))
      await rename(this.#incompletePath, this.path)
    } catch (error) {
      // For example on a full disk. The next upload tries again.
      await this.access.removeTree(this.#incompletePath)
      throw error
    }
  }

  /** Creates again what was deleted. Concurrent calls share one attempt. */
  #repair(): Promise<void> {
    const repair = async () => {
      if (await isDirectory(this.path)) await this.#populate(this.path)
      else await this.#create()
    }
    this.#repairing ??= repair().finally(() => {
      this.#repairing = undefined
    })
    return this.#repairing
  }

  /** Creates `owner.json` and the subdirectories, except those that exist. */
  async #populate(directory: string): Promise<void> {
    const written = writeFile(join(directory, OWNER_FILE), JSON.stringify(this.owner), {
      flag: 'wx',
      mode: PRIVATE_FILE,
      // Otherwise the file could be empty after a power failure, and the owner would be unknown.
      flush: true,
    })
    await written.catch(unlessCode('EEXIST'))
    for (const name of this.#subdirectories)
      await mkdir(join(directory, name), { mode: PRIVATE_DIRECTORY }).catch(unlessCode('EEXIST'))
  }

  get #subdirectories(): string[] {
    return ['.incoming', '.trash', ...(this.blobs === undefined ? [] : ['blobs'])]
  }

  /** The path of the directory while it is being created or removed. */
  get #incompletePath(): string {
    return join(this.cacheDir, `.${this.owner.instance}.new`)
  }
}

/**
 * Whether every user may rename and delete what is in a directory. With the sticky bit (01000), as on /tmp, only its owner may. A group
 * that may write is often meant: volumes of Kubernetes have one (`fsGroup`).
 */
function isReplaceable(directory: string): boolean {
  const { mode } = statSync(directory, { throwIfNoEntry: false }) ?? { mode: 0 }
  return process.platform !== 'win32' && (mode & 0o002) !== 0 && (mode & 0o1000) === 0
}
