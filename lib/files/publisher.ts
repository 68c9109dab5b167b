import { constants } from 'node:fs'
import { copyFile, link, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { KeyedMutex } from '../util/keyed-mutex.js'
import { codeOf, unlinkIfThere } from './disk.js'

/** How a file's bytes lie on the disk: by themselves, as the first link to a blob, or as a further one. */
export type Sharing = 'alone' | 'first' | 'shared'

/**
 * Publishes files and keeps the blobs that they share, one task at a time for each content, so that a blob is never linked
 * while it is being removed.
 */
export class Publisher {
  readonly #blobs: string | undefined
  readonly #lock = new KeyedMutex()

  /** @param blobs where the same bytes are kept once for all sessions; without it each session has its own */
  constructor(blobs: string | undefined) {
    this.#blobs = blobs
  }

  /** Runs `task` while no other works on that content. */
  exclusively<T>(sha256: string, task: () => Promise<T>): Promise<T> {
    return this.#lock.run(sha256, task)
  }

  /**
   * Publishes a file that is whole, and leaves nothing when that fails.
   * @param move moves a file to where it belongs
   */
  async publish<Place>(
    file: string,
    sha256: string,
    move: (file: string) => Promise<Place>,
  ): Promise<{ place: Place; sharing: Sharing }> {
    if (this.#blobs === undefined) return { place: await move(file), sharing: 'alone' }
    const blob = join(this.#blobs, sha256)
    const twin = `${file}.link`
    try {
      if (await tryLink(blob, twin)) {
        const place = await move(twin)
        await unlink(file)
        return { place, sharing: 'shared' }
      }
      const isBlob = await tryLink(file, blob)
      return { place: await move(file), sharing: isBlob ? 'first' : 'alone' }
    } catch (error) {
      for (const left of [twin, file]) await unlinkIfThere(left)
      await this.collect(sha256)
      throw error
    }
  }

  /**
   * Removes the blob when no session has a link to it any more: the link count is the reference count.
   * @returns whether its bytes are gone from the disk
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

  /** Links or copies a file to `destination`, where nothing may be yet. */
  async copyOut(file: string, destination: string): Promise<void> {
    // What shares its bytes with a blob is copied: who edits it in place would edit others' files.
    if (this.#blobs === undefined && (await tryLink(file, destination))) return
    await copyFile(file, destination, constants.COPYFILE_EXCL)
  }
}

/** Makes a hard link; `false` where there is nothing to link to, or no further link can be made. */
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
 * EMLINK: too many links, of a blob that stays for those who have it (EEXIST); EPERM, ENOTSUP, ENOSYS: a file system
 * without; EXDEV: another file system.
 */
const NO_LINK = ['ENOENT', 'EEXIST', 'EMLINK', 'EPERM', 'ENOTSUP', 'ENOSYS', 'EXDEV']
