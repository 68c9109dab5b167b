import { constants } from 'node:fs'
import { copyFile, link, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { KeyedLock } from '../util/keyed-mutex.js'
import { codeOf, makeDirectory, unlinkIfThere, unsafe } from './disk.js'
import type { Call } from './trips.js'
import type { Ingest } from './writer.js'

/**
 * Puts files where they belong and takes them away, one at a time for each content, so that what is published is never
 * what is just being removed.
 */
export class Store {
  readonly #blobs: string | undefined
  readonly #lock = new KeyedLock()

  /** @param blobs where the same bytes are kept once for all sessions; without it each session has its own */
  constructor(blobs: string | undefined) {
    this.#blobs = blobs
  }

  /** Runs `task` while no other works on that content. */
  exclusively<T>(sha256: string, task: () => Promise<T>): Promise<T> {
    return this.#lock.run(sha256, task)
  }

  /** The same for several contents. None of them may wait for another of them. */
  exclusivelyAll<T>(sha256s: readonly string[], task: () => Promise<T>): Promise<T> {
    return this.#lock.runForAll(sha256s, task)
  }

  /** Whether somebody works on that content. */
  isBusy(sha256: string): boolean {
    return this.#lock.isHeld(sha256)
  }

  /**
   * Moves what was ingested to `path`, whole. Gives nothing when something else is in the way there.
   * @throws GradioStateError `CACHE_DIR_UNSAFE` when that is in place of the session's directory
   */
  async publish(ingest: Ingest, sha256: string, path: string): Promise<Sharing | undefined> {
    if (this.#blobs === undefined)
      return (await closeAt(ingest, path, ['rename', ingest.path, path])) ? 'alone' : undefined
    return (await closeAt(ingest, path)) ? this.#share(this.#blobs, ingest.path, sha256, path) : undefined
  }

  async #share(blobs: string, from: string, sha256: string, path: string): Promise<Sharing> {
    const blob = join(blobs, sha256)
    const twin = `${from}.link`
    try {
      if (await tryLink(blob, twin)) {
        await moveTo(twin, path)
        await unlink(from)
        return 'shared'
      }
      const isBlob = await tryLink(from, blob)
      await moveTo(from, path)
      return isBlob ? 'first' : 'alone'
    } catch (error) {
      for (const link of [twin, from]) await unlinkIfThere(link)
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

  /** Moves a file out of the cache to `destination`, where nothing may be yet. */
  async moveOut(path: string, destination: string): Promise<void> {
    // What shares its bytes with a blob is copied: who edits it in place would edit others' files.
    const moved = this.#blobs === undefined && (await tryLink(path, destination))
    if (!moved) await copyFile(path, destination, constants.COPYFILE_EXCL)
    await unlinkIfThere(path)
  }
}

/** Closes what was ingested, and goes on to `then`; tells whether nothing is in the way at `path`. */
async function closeAt(ingest: Ingest, path: string, ...then: Call[]): Promise<boolean> {
  const shelf = dirname(path)
  const session = dirname(shelf)
  let way: Call[] = [
    ['directory', session],
    ['directory', shelf],
  ]
  for (let attempts = 3; ; attempts--) {
    try {
      await ingest.close(...way, ['absent', path], ...then)
      return true
    } catch (error) {
      const { code, syscall, path: where } = error as NodeJS.ErrnoException
      if (syscall === 'lstat' && (code === 'ENOTDIR' || code === 'EEXIST')) {
        if (where === session) throw unsafe(session, 'something else is in its place')
        return false
      }
      if (code !== 'ENOENT' || attempts === 0) throw error
      // They have yet to be made, or a removal has just taken them as empty.
      way = [session, shelf].flatMap((path): Call[] => [
        ['mkdir', path],
        ['directory', path],
      ])
    }
  }
}

/** How a file's bytes lie on the disk: by themselves, as the first link to a blob, or as a further one. */
export type Sharing = 'alone' | 'first' | 'shared'

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

/** Renames into directories that may have to be made, or that a removal may just have taken as empty. */
async function moveTo(from: string, path: string, attempts = 3): Promise<void> {
  try {
    await rename(from, path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || attempts === 0) throw error
    await makeDirectory(dirname(dirname(path)))
    await makeDirectory(dirname(path))
    await moveTo(from, path, attempts - 1)
  }
}
