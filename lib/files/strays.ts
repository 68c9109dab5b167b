import type { Dirent } from 'node:fs'
import { lstat, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, isDirectory } from './disk.js'
import { removeIfEmpty } from './store.js'

/** What a sweep has to look out for. */
export interface Surroundings {
  /** Whether there is a saved file at that path: no stray. */
  has(path: string): boolean
  /** Lets nobody else put files into the directory of that name, or take them away, while `task` runs. */
  exclusively<T>(name: string, task: () => Promise<T>): Promise<T>
  /** Told of each file that can't be removed: that is no reason to keep the others. */
  report(error: unknown): void
}

/**
 * Deletes what an app has written into a directory by itself and not touched since `until` (ms since the epoch), and
 * the directories that this empties. Links are deleted, never followed.
 * @returns the bytes of the strays that stay
 */
export async function sweepDirectory(
  directory: string,
  until: number,
  surroundings: Surroundings,
): Promise<number> {
  if (!(await isDirectory(directory))) return 0
  return sweepEntries(directory, await entriesOf(directory), until, surroundings)
}

async function sweepEntries(
  directory: string,
  entries: Dirent[],
  until: number,
  surroundings: Surroundings,
): Promise<number> {
  const { has, exclusively, report } = surroundings
  // Only one level of directories has something that others work on.
  const below = { ...surroundings, exclusively: <T>(_name: string, task: () => Promise<T>) => task() }
  let bytes = 0
  for (const entry of entries) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) {
      bytes += await exclusively(entry.name, () => sweepBelow(path, until, below))
    } else if (!has(path)) {
      bytes += await sweepFile(path, until, report)
    }
  }
  return bytes
}

async function sweepBelow(directory: string, until: number, surroundings: Surroundings): Promise<number> {
  try {
    const entries = await entriesOf(directory)
    // An empty one may have been made this moment, for what is about to be written.
    if (entries.length === 0 && (await touched(directory)).at > until) return 0
    const bytes = await sweepEntries(directory, entries, until, surroundings)
    await removeIfEmpty(directory)
    return bytes
  } catch (error) {
    // Gone with its session, or by the app.
    if (codeOf(error) !== 'ENOENT') surroundings.report(error)
    return 0
  }
}

async function sweepFile(path: string, until: number, report: Surroundings['report']): Promise<number> {
  let bytes = 0
  try {
    const { at, size } = await touched(path)
    bytes = size
    if (at > until) return bytes
    await unlink(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') {
      report(error)
      return bytes
    }
  }
  return 0
}

/** A copy may keep an old mtime; ctime tells when it came. */
async function touched(path: string): Promise<{ at: number; size: number }> {
  const { ctimeMs, mtimeMs, size } = await lstat(path)
  return { at: Math.max(ctimeMs, mtimeMs), size }
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}
