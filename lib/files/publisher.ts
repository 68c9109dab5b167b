import { link, lstat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { KeyedMutex } from '../util/keyed-mutex.js'
import { codeOf, unlinkIfThere } from './disk.js'
import { versionOf } from './open-file.js'
import { Readers } from './readers.js'

/** Bytes that files of several sessions share, as hard links to one blob. */
export interface SharedBytes {
  readonly sha256: string
  readonly size: number
  readonly version: string
  /** The number of saved files that share them. Not the link count: the app may have moved its link elsewhere. */
  uses: number
  /** The downloads that read them. */
  readonly readers: Readers
}

/** A complete file that was not published yet. */
export interface CompleteFile {
  readonly path: string
  readonly sha256: string
  readonly size: number
  readonly version: string
}

/** A file that was published. */
export interface Published<Place> {
  readonly place: Place
  readonly version: string
  readonly shared: SharedBytes | undefined
}

/**
 * Publishes files, and deduplicates them with blobs: hard links to the same bytes. Runs one task at a time for each content, so
 * that a blob is never linked while it is being removed.
 */
export class Publisher {
  readonly #directory: string | undefined
  readonly #blobs = new Map<string, SharedBytes>()
  readonly #lock = new KeyedMutex()

  /** @param directory the directory of blobs, which are shared by all sessions; `undefined` disables sharing */
  constructor(directory: string | undefined) {
    this.#directory = directory
  }

  /** Whether files may be links to the same bytes. */
  get isSharing(): boolean {
    return this.#directory !== undefined
  }

  /**
   * Runs `task` after all earlier tasks with the same content.
   * @param file has the content, which an earlier task may have found changed
   */
  async exclusively<T>(file: { readonly sha256: string }, task: () => Promise<T>): Promise<T> {
    for (;;) {
      const { sha256 } = file
      const done = await this.#lock.run(sha256, async () =>
        file.sha256 === sha256 ? { result: await task() } : undefined,
      )
      if (done !== undefined) return done.result
    }
  }

  /**
   * Publishes a complete file. Removes it if that fails.
   * @param move moves a file into the session's directory
   */
  async publish<Place>(
    file: CompleteFile,
    move: (path: string) => Promise<Place>,
  ): Promise<Published<Place>> {
    const { path, version } = file
    if (!this.isSharing) return { place: await move(path), version, shared: undefined }
    const linked = `${path}.link`
    let created: SharedBytes | undefined
    try {
      const known = await this.#linkKnown(file, linked)
      if (known !== undefined) {
        const place = await move(linked)
        await unlink(path)
        known.uses++
        return { place, version: known.version, shared: known }
      }
      created = await this.#create(file)
      const place = await move(path)
      if (created !== undefined) created.uses++
      return { place, version, shared: created }
    } catch (error) {
      for (const left of [linked, path]) await unlinkIfThere(left)
      if (created !== undefined) await this.#forget(created)
      throw error
    }
  }

  /**
   * Called when a file that shares bytes was removed, or has other bytes by now. The caller has the lock of its content.
   * @returns whether no file uses them any more
   */
  async release(shared: SharedBytes): Promise<boolean> {
    if (shared.uses === 1) await this.#forget(shared)
    shared.uses--
    return shared.uses === 0
  }

  /** Links the blob with this content to `linked`. `undefined` if there is none, or it can't be linked. */
  async #linkKnown({ sha256 }: CompleteFile, linked: string): Promise<SharedBytes | undefined> {
    const known = this.#blobs.get(sha256)
    if (known === undefined) return undefined
    const isLinked = await tryLink(this.#pathOf(known), linked)
    if (isLinked && versionOf(await lstat(linked)) === known.version) return known
    // A file that shares its bytes was edited.
    if (isLinked) {
      await unlink(linked)
      await this.#forget(known)
    }
    return undefined
  }

  async #create({ path, sha256, size, version }: CompleteFile): Promise<SharedBytes | undefined> {
    const created = { sha256, size, version, uses: 0, readers: new Readers() }
    if (!(await tryLink(path, this.#pathOf(created)))) return undefined
    this.#blobs.set(sha256, created)
    return created
  }

  /** Removes a blob. Files that are links to it stay. */
  async #forget(blob: SharedBytes): Promise<void> {
    if (this.#blobs.get(blob.sha256) !== blob) return
    await unlinkIfThere(this.#pathOf(blob))
    this.#blobs.delete(blob.sha256)
  }

  #pathOf({ sha256 }: SharedBytes): string {
    return join(this.#directory as string, sha256)
  }
}

/** Creates a hard link. Returns `false` if there is nothing to link to, or the link can't be created. */
export async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    const code = codeOf(error)
    if (code !== undefined && NO_LINK.includes(code)) return false
    throw error
  }
}

/**
 * ENOENT: the blob was removed. EMLINK: the blob has too many links; it still exists, so creating a new one fails with EEXIST. EPERM,
 * ENOTSUP, ENOSYS: the file system has no hard links. EXDEV: another file system.
 */
const NO_LINK = ['ENOENT', 'EEXIST', 'EMLINK', 'EPERM', 'ENOTSUP', 'ENOSYS', 'EXDEV']
