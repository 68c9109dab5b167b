import { lstat, mkdir, unlink } from 'node:fs/promises'
import { GradioStateError } from '../errors.js'
import { eachBounded } from '../util/limiter.js'

/** For the owner only: uploads are not for other users of the machine. */
export const PRIVATE_DIRECTORY = 0o700
export const PRIVATE_FILE = 0o600

/** The code of a failed system call, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

/** Creates a directory below one that is ours. Refuses a link in its place: it would lead elsewhere. */
export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: PRIVATE_DIRECTORY }).catch(unlessCode('EEXIST'))
  if (!(await isDirectory(path))) throw unsafe(path, 'something else is in its place')
}

/** Whether a directory is at `path`, and no link to one. */
export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (isNoDirectory(error)) return false
    throw error
  }
}

export async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch(unlessCode('ENOENT'))
}

/** Whether there was no directory, or a link or a file in its place. */
export function isNoDirectory(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** The codes of an attempt to remove a directory that isn't empty. */
export const NOT_EMPTY = ['ENOTEMPTY', 'EEXIST']

/** For `catch()`: ignores errors with these codes. */
export function unlessCode(...codes: string[]): (error: unknown) => undefined {
  return error => {
    if (!codes.includes(codeOf(error) ?? '')) throw error
    return undefined
  }
}

/**
 * Calls `task` for each item, a few at once, and waits until all have ended: one that fails is no reason to leave out the
 * others.
 * @returns what failed
 */
export async function attemptEach<T>(
  items: readonly T[],
  task: (item: T) => Promise<void>,
  atOnce = AT_ONCE,
): Promise<unknown[]> {
  const errors: unknown[] = []
  await eachBounded(items, atOnce, async item => {
    try {
      await task(item)
    } catch (error) {
      errors.push(error)
    }
  })
  return errors
}

/** More make nothing faster, as the thread pool has 4 threads, but keep others waiting for one. */
const AT_ONCE = 16

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
