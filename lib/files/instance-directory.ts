import { lstatSync, type Stats } from 'node:fs'
import { lstat, mkdir, readdir, rename, rmdir, unlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { v4 as uuid } from 'uuid'
import { DirectoryAccess } from './directory-handle.js'
import {
  codeOf,
  explainDisk,
  isDirectory,
  PRIVATE_DIRECTORY,
  PRIVATE_FILE,
  unlessCode,
  unsafe,
} from './disk.js'
import { isAlive, OWNER_FILE, type Owner, ownerOf, readOwner, UUID } from './owner.js'

/** The directory of one `gradioState()` instance in the cache directory. Created at its first file. */
export class InstanceDirectory {
  readonly path: string
  readonly incoming: string
  readonly #trash: string
  /** Where the same bytes are kept once for all sessions, if they are. */
  readonly blobs: string | undefined
  /** Opens the directories below that others may write to. */
  readonly access = new DirectoryAccess()
  readonly #cacheDir: string
  readonly #isDefault: boolean
  readonly #owner: Owner
  #made: Promise<void> | undefined
  #isClosed = false

  /**
   * @param hasBlobs whether the same bytes are kept once for all sessions
   * @param isDefault whether the directory is the library's own choice: then nobody else's may be used
   * @throws GradioStateError `CACHE_DIR_UNSAFE`
   */
  constructor(cacheDir: string, isDefault: boolean, hasBlobs: boolean) {
    this.#cacheDir = cacheDir
    this.#isDefault = isDefault
    this.#owner = ownerOf(uuid())
    this.path = join(cacheDir, this.#owner.instance)
    this.incoming = join(this.path, '.incoming')
    this.#trash = join(this.path, '.trash')
    this.blobs = hasBlobs ? join(this.path, 'blobs') : undefined
    this.#check()
  }

  get exists(): boolean {
    return this.#made !== undefined
  }

  /** Creates the directory, whole or not at all. */
  make(): Promise<void> {
    this.#made ??= this.#make().catch(error => {
      this.#made = undefined
      throw explainDisk(error)
    })
    return this.#made
  }

  /** Says that this process lives, for those that can't see it. */
  async renewLease(): Promise<void> {
    if (this.#made === undefined || this.#isClosed) return
    await this.#made
    const now = new Date()
    try {
      for (const name of [OWNER_FILE, ...this.#parts]) await utimes(join(this.path, name), now, now)
    } catch (error) {
      if (this.#isClosed) return
      if (codeOf(error) !== 'ENOENT') throw error
      // Somebody has cleaned up, as some systems do in their temporary directories.
      await this.#mend()
    }
  }

  /**
   * Removes a directory with everything in it: it is gone at once, by a rename into the trash, and deleted then. What isn't
   * there is removed.
   */
  async discard(path: string): Promise<void> {
    if (!this.exists) return
    let discarded = join(this.#trash, uuid())
    try {
      await rename(path, discarded)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      // Nothing is there, or no trash: some systems clean their temporary directories.
      discarded = path
    }
    await this.access.removeTree(discarded)
  }

  /**
   * Removes what dead processes left. Whatever isn't beyond doubt a directory of ours is not touched.
   * @param report told of each directory that can't be removed
   */
  async removeDead(report: (error: unknown) => void): Promise<void> {
    for (const name of await entriesOf(this.#cacheDir)) {
      const isUnfinished = name.startsWith('.') && name.endsWith('.new')
      const instance = isUnfinished ? name.slice(1, -'.new'.length) : name
      if (!UUID.test(instance) || instance === this.#owner.instance) continue
      const directory = join(this.#cacheDir, name)
      const found = await readOwner(directory)
      if (found === undefined) {
        if (isUnfinished) await removeEmpty(directory)
      } else if (!isAlive(found.owner, this.#owner, Date.now() - found.leasedAt)) {
        const removed = this.make().then(() => this.discard(directory))
        await removed.catch(report)
      }
    }
  }

  /** Removes the directory. */
  async remove(): Promise<void> {
    if (this.#made === undefined) return
    this.#isClosed = true
    await this.#made?.catch(() => {})
    // Whenever this is cut short, what is left is known as ours: `owner.json` goes last, the name says the rest.
    try {
      await rename(this.path, this.#unfinished)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return
      throw error
    }
    for (const name of await entriesOf(this.#unfinished))
      if (name !== OWNER_FILE) await this.access.removeTree(join(this.#unfinished, name))
    await this.access.removeTree(this.#unfinished)
  }

  #check(): Stats | undefined {
    const found = lstatSync(this.#cacheDir, { throwIfNoEntry: false })
    if (found === undefined) return undefined
    if (!this.#isDefault) {
      // A link to a directory is the app's own choice here.
      if (!found.isDirectory() && !found.isSymbolicLink()) throw unsafe(this.#cacheDir, 'it is a file')
      return found
    }
    if (!found.isDirectory()) throw unsafe(this.#cacheDir, 'it is a link or a file')
    if (process.getuid !== undefined && found.uid !== process.getuid()) {
      throw unsafe(this.#cacheDir, 'it is of another user')
    }
    if (process.platform !== 'win32' && (found.mode & 0o022) !== 0)
      throw unsafe(this.#cacheDir, 'others can write to it')
    return found
  }

  async #make(): Promise<void> {
    if (this.#isDefault) {
      await mkdir(dirname(this.#cacheDir), { recursive: true })
      await mkdir(this.#cacheDir, { mode: PRIVATE_DIRECTORY }).catch(unlessCode('EEXIST'))
      // Somebody may have been quicker, in a directory where all can write.
      this.#check()
    } else {
      await mkdir(this.#cacheDir, { recursive: true, mode: PRIVATE_DIRECTORY })
    }
    try {
      await mkdir(this.#unfinished, { mode: PRIVATE_DIRECTORY })
      await this.#furnish(this.#unfinished)
      await this.access.probe(join(this.#unfinished, '.incoming'))
      await rename(this.#unfinished, this.path)
    } catch (error) {
      // On a full disk it stays half-made; the next upload tries anew.
      await this.access.removeTree(this.#unfinished)
      throw error
    }
  }

  /** Makes what is missing. */
  async #mend(): Promise<void> {
    if (await isDirectory(this.path)) await this.#furnish(this.path)
    else await this.#make()
  }

  async #furnish(directory: string): Promise<void> {
    const written = writeFile(join(directory, OWNER_FILE), JSON.stringify(this.#owner), {
      flag: 'wx',
      mode: PRIVATE_FILE,
      // After a power cut it may be there without its content otherwise, and nobody would know whose the directory is.
      flush: true,
    })
    await written.catch(unlessCode('EEXIST'))
    for (const name of this.#parts)
      await mkdir(join(directory, name), { mode: PRIVATE_DIRECTORY }).catch(unlessCode('EEXIST'))
  }

  get #parts(): string[] {
    return ['.incoming', '.trash', ...(this.blobs === undefined ? [] : ['blobs'])]
  }

  /** What the directory is called before it is whole, and when it no longer is. */
  get #unfinished(): string {
    return join(this.#cacheDir, `.${this.#owner.instance}.new`)
  }
}

async function entriesOf(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/**
 * A process that was killed between two calls leaves an empty directory, or an empty file in it; nothing that has a
 * byte is removed.
 */
async function removeEmpty(directory: string): Promise<void> {
  try {
    const { mtimeMs } = await lstat(directory)
    if (Date.now() - mtimeMs < 60_000) return
    const file = join(directory, OWNER_FILE)
    const found = await lstat(file).catch(unlessCode('ENOENT'))
    if (found?.isFile() && found.size === 0) await unlink(file)
    await rmdir(directory)
  } catch {
    // Not empty, or not there: not ours to remove.
  }
}
