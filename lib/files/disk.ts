import { constants } from 'node:fs'
import { lstat, mkdir, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../errors.js'

/** For the owner only: what users upload is nobody else's on the machine. */
export const PRIVATE_DIRECTORY = 0o700
export const PRIVATE_FILE = 0o600
/** To make a file, and to fail when there is anything of that name, a link too. Its hash is read back from it. */
export const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR

/** The code of a failed system call, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

/** Whether `path` lies below `directory`; both absolute and without links. */
export function isInside(directory: string, path: string): boolean {
  const way = relative(directory, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

/** Makes a directory below one that is ours. Refuses a link in its place: it would lead elsewhere. */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: PRIVATE_DIRECTORY })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    const found = await lstat(path)
    if (!found.isDirectory()) throw unsafe(path, 'something else is in its place')
  }
}

/**
 * Whether the directory at `path`, and the one it is in, are what they were made as: a link that an app was made to put
 * in their place (by an archive that it unpacks, say) would lead elsewhere.
 */
export async function isInPlace(path: string): Promise<boolean> {
  return (await isDirectory(dirname(path))) && isDirectory(path)
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await kindOf(path))?.isDirectory() === true
}

export async function isFile(path: string): Promise<boolean> {
  return (await kindOf(path))?.isFile() === true
}

export async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

export async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory)
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  }
}

/**
 * Removes a file or a directory with all that is in it: it is gone at once, by a rename into `trash`, and deleted then.
 * What isn't there is removed.
 */
export async function discard(path: string, trash: string): Promise<void> {
  const discarded = join(trash, uuid())
  try {
    await rename(path, discarded)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    // Nothing is there, or no `trash`: some systems clean their temporary directories.
    await rm(path, { recursive: true, force: true })
    return
  }
  await rm(discarded, { recursive: true, force: true })
}

export function unsafe(path: string, why: string): GradioStateError {
  return new GradioStateError(
    'CACHE_DIR_UNSAFE',
    `Expected ${path} to be a directory that only this user can write to, but ${why}. Remove it, or set another cacheDir.`,
  )
}

/** What a full disk, or a full quota of the file system, means for an upload. */
export function explainDisk(error: unknown): unknown {
  const code = codeOf(error)
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new GradioStateError('DISK_FULL', 'Expected room on the disk of cacheDir, got a full disk.', {
    cause: error,
  })
}

/** What stands at `path`, links not followed. */
export async function kindOf(path: string) {
  try {
    return await lstat(path)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}
