import { lstat, mkdir, readdir, unlink } from 'node:fs/promises'
import { GradioStateError } from '../errors.js'
import { eachBounded } from '../util/limiter.js'

/** Only for this user: other users of the machine must not read uploads. */
export const PRIVATE_DIRECTORY = 0o700
export const PRIVATE_FILE = 0o600

/** The code of a failed system call, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

/** Creates a directory in one of the library's own, unless it exists. Refuses a link, which could lead anywhere. */
export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: PRIVATE_DIRECTORY }).catch(unlessCode('EEXIST'))
  if (!(await isDirectory(path))) throw unsafe(path, 'it is a link or a file')
}

/** Whether `path` is a directory, not a link to one. */
export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (isNoDirectory(error)) return false
    throw error
  }
}

/** The names of a directory's entries; none if it doesn't exist. */
export async function entriesIfThere(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(unlessCode('ENOENT'))) ?? []
}

export async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch(unlessCode('ENOENT'))
}

/** Whether a call failed because a directory doesn't exist, or is a link or a file. */
export function isNoDirectory(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** The error codes of `rmdir` for a directory that isn't empty. */
export const NOT_EMPTY = ['ENOTEMPTY', 'EEXIST']

/** For `catch()`: ignores errors with these codes, and rethrows others. */
export function unlessCode(...codes: string[]): (error: unknown) => undefined {
  return error => {
    if (!codes.includes(codeOf(error) ?? '')) throw error
    return undefined
  }
}

/**
 * Calls `task` for each item, at most `limit` concurrently, and waits for all of them. After a failure it continues with the
 * other items.
 * @returns the errors
 */
export async function attemptEach<T>(
  items: readonly T[],
  task: (item: T) => Promise<void>,
  limit = CONCURRENCY,
): Promise<unknown[]> {
  const errors: unknown[] = []
  await eachBounded(items, limit, async item => {
    try {
      await task(item)
    } catch (error) {
      errors.push(error)
    }
  })
  return errors
}

/** More wouldn't be faster, as libuv's thread pool has 4 threads, but would delay other calls of the process. */
const CONCURRENCY = 16

export function unsafe(path: string, why: string): GradioStateError {
  return new GradioStateError(
    'CACHE_DIR_UNSAFE',
    `Expected ${path} to be a directory that only this user can write to, but ${why}. Remove it, or set another cacheDir.`,
  )
}

/** Turns the error of a full disk, or of an exceeded quota of the file system, into `DISK_FULL`. */
export function explainDiskFull(error: unknown): unknown {
  const code = codeOf(error)
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new GradioStateError(
    'DISK_FULL',
    'Expected free space on the disk of cacheDir, but the disk or its quota is full. Free some space, or set another cacheDir.',
    {
      cause: error,
    },
  )
}
