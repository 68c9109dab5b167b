import { lstatSync, type Stats } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, rmdir, unlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { v4 as uuid } from 'uuid'
import {
  codeOf,
  discard,
  explainDisk,
  isDirectory,
  isFile,
  PRIVATE_DIRECTORY,
  PRIVATE_FILE,
  unsafe,
} from './disk.js'
import { isAlive, OWNER_FILE, type Owner, ownerOf, readOwner, UUID } from './owner.js'

/** The folder of one `gradioState()` instance in the cache directory. Made at its first file. */
export class InstanceFolder {
  readonly path: string
  readonly incoming: string
  readonly trash: string
  /** Where the same bytes are kept once for all sessions, if they are. */
  readonly blobs: string | undefined
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
    this.trash = join(this.path, '.trash')
    this.blobs = hasBlobs ? join(this.path, 'blobs') : undefined
    this.#check()
  }

  get exists(): boolean {
    return this.#made !== undefined
  }

  /** Makes the folder, whole or not at all. */
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
   * Removes what dead processes left. Whatever isn't beyond doubt a folder of ours is not touched.
   * @param report told of each folder that can't be removed
   */
  async removeDead(report: (error: unknown) => void): Promise<void> {
    for (const name of await entriesOf(this.#cacheDir)) {
      const isUnfinished = name.startsWith('.') && name.endsWith('.new')
      const instance = isUnfinished ? name.slice(1, -'.new'.length) : name
      if (!UUID.test(instance) || instance === this.#owner.instance) continue
      const folder = join(this.#cacheDir, name)
      const found = await readOwner(folder)
      if (found === undefined) {
        if (isUnfinished) await removeEmpty(folder)
      } else if (!isAlive(found.owner, this.#owner, Date.now() - found.leasedAt)) {
        const removed = this.make().then(() => discard(folder, this.trash))
        await removed.catch(report)
      }
    }
  }

  /** Removes the folder. */
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
      if (name !== OWNER_FILE) await rm(join(this.#unfinished, name), { recursive: true, force: true })
    await rm(this.#unfinished, { recursive: true, force: true })
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
      await mkdir(this.#cacheDir, { mode: PRIVATE_DIRECTORY }).catch(unlessThere)
      // Somebody may have been quicker, in a directory where all can write.
      this.#check()
    } else {
      await mkdir(this.#cacheDir, { recursive: true, mode: PRIVATE_DIRECTORY })
    }
    try {
      await mkdir(this.#unfinished, { mode: PRIVATE_DIRECTORY })
      await this.#furnish(this.#unfinished)
      await rename(this.#unfinished, this.path)
    } catch (error) {
      // On a full disk it stays half-made; the next upload tries anew.
      await rm(this.#unfinished, { recursive: true, force: true })
      throw error
    }
  }

  /** Makes what is missing. */
  async #mend(): Promise<void> {
    if (await isDirectory(this.path)) await this.#furnish(this.path)
    else await this.#make()
  }

  async #furnish(folder: string): Promise<void> {
    const made = writeFile(join(folder, OWNER_FILE), JSON.stringify(this.#owner), {
      flag: 'wx',
      mode: PRIVATE_FILE,
      // After a power cut it may be there without its content otherwise, and nobody would know whose the folder is.
      flush: true,
    })
    await made.catch(unlessThere)
    for (const name of this.#parts)
      await mkdir(join(folder, name), { mode: PRIVATE_DIRECTORY }).catch(unlessThere)
  }

  get #parts(): string[] {
    return ['.incoming', '.trash', ...(this.blobs === undefined ? [] : ['blobs'])]
  }

  /** What the folder is called before it is whole, and when it no longer is. */
  get #unfinished(): string {
    return join(this.#cacheDir, `.${this.#owner.instance}.new`)
  }
}

function unlessThere(error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error
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
async function removeEmpty(folder: string): Promise<void> {
  try {
    const { mtimeMs } = await lstat(folder)
    if (Date.now() - mtimeMs < 60_000) return
    const file = join(folder, OWNER_FILE)
    if ((await isFile(file)) && (await lstat(file)).size === 0) await unlink(file)
    await rmdir(folder)
  } catch {
    // Not empty, or not there: not ours to remove.
  }
}
