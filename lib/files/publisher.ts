import { constants } from 'node:fs'
import { copyFile, link, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { KeyedMutex } from '../util/keyed-mutex.js'
import { codeOf, unlinkIfThere } from './disk.js'

/** `alone`: a file that shares no blob. `first`: its bytes became a new blob. `shared`: it is a further link to a blob. */
export type Sharing = 'alone' | 'first' | 'shared'

/**
 * Publishes files, and deduplicates them with blobs: hard links to the same bytes. Runs one task at a time for each content, so
 * that a blob is never linked while it is being removed.
 */
export class Publisher {
  readonly #blobs: string | undefined
  readonly #lock = new KeyedMutex()

  /** @param blobs the directory of blobs, which are shared by all sessions; `undefined` disables sharing */
  constructor(blobs: string | undefined) {
    this.#blobs = blobs
  }

  /** Runs `task` after all earlier tasks with the same content. */
  exclusively<T>(sha256: string, task: () => Promise<T>): Promise<T> {
    return this.#lock.run(sha256, task)
  }

  /**
   * Publishes a complete file. Removes it if that fails.
   * @param move moves a file into the session's directory
   */
  async publish<Place>(
    file: string,
    sha256: string,
    move: (file: string) => Promise<Place>,
  ): Promise<{ place: Place; sharing: Sharing }> {
    if (this.#blobs === undefined) return { place: await move(file), sharing: 'alone' }
    const blob = join(this.#blobs, sha256)
    const linked = `${file}.link`
    try {
      if (await tryLink(blob, linked)) {
        const place = await move(linked)
        await unlink(file)
        return { place, sharing: 'shared' }
      }
      const isBlob = await tryLink(file, blob)
      return { place: await move(file), sharing: isBlob ? 'first' : 'alone' }
    } catch (error) {
      for (const left of [linked, file]) await unlinkIfThere(left)
      await this.collect(sha256)
      throw error
    }
  }

  /**
   * Removes a blob that no session links to any more. The link count is the reference count.
   * @returns whether the bytes were removed from the disk
   */
  async collect(sha256: string): Promise<boolean> {
    if (this.#blobs === undefined) return false
    const blob = join(this.#blobs, sha256)
    try {
      if ((await stat(blob)).nlink > 1) return false
      await unlink(blob)
      return true
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false
      throw error
    }
  }

  /** Links or copies a file to `destination`. Fails if that exists. */
  async copyOut(file: string, destination: string): Promise<void> {
    // With blobs the file is copied: editing a link in place would change the files of other sessions.
    if (this.#blobs === undefined && (await tryLink(file, destination))) return
    await copyFile(file, destination, constants.COPYFILE_EXCL)
  }
}

/** Creates a hard link. Returns `false` if there is nothing to link to, or the link can't be created. */
async function tryLink(from: string, to: string): Promise<boolean> {
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
 * ENOENT: there is no blob yet. EMLINK: the blob has too many links; it still exists, so creating a new one fails with EEXIST.
 * EPERM, ENOTSUP, ENOSYS: the file system has no hard links. EXDEV: another file system.
 */
const NO_LINK = ['ENOENT', 'EEXIST', 'EMLINK', 'EPERM', 'ENOTSUP', 'ENOSYS', 'EXDEV']
