import type { Dirent, Stats } from 'node:fs'
import { join } from 'node:path'
import type { DirectoryAccess, DirectoryHandle } from './directory-handle.js'
import { codeOf, isNoDirectory, NOT_EMPTY, unlessCode } from './disk.js'
import { chargeOf } from './quota.js'

/** What a sweep has to look out for. */
export interface Surroundings {
  /** Lets nobody save a file at `path` until the given function is called; nothing if one is there, or about to be. */
  claim(path: string): (() => void) | undefined
  /** Whether a directory has saved files, or is about to. */
  isInUse(path: string): boolean
  /** Told of each file that can't be removed: that is no reason to keep the others. */
  report(error: unknown): void
}

/**
 * Deletes what an app has written into a directory by itself and not touched since `until` (ms since the epoch), and
 * the directories that this empties. Links are deleted, never followed.
 * @returns what the files that stay take of the limits
 */
export async function sweepUntracked(
  access: DirectoryAccess,
  path: string,
  until: number,
  surroundings: Surroundings,
): Promise<number> {
  try {
    return await access.use(path, async directory =>
      sweepEntries(directory, await directory.entries(), until, surroundings),
    )
  } catch (error) {
    if (isNoDirectory(error)) return 0
    throw error
  }
}

async function sweepEntries(
  directory: DirectoryHandle,
  entries: Dirent[],
  until: number,
  surroundings: Surroundings,
): Promise<number> {
  let bytes = 0
  for (const entry of entries) {
    const sweep = entry.isDirectory() ? sweepDirectory : sweepFile
    bytes += await sweep(directory, entry.name, until, surroundings)
  }
  return bytes
}

async function sweepDirectory(
  parent: DirectoryHandle,
  name: string,
  until: number,
  surroundings: Surroundings,
): Promise<number> {
  try {
    const bytes = await parent.use(name, async directory => {
      const entries = await directory.entries()
      // An empty one may have been made this moment, for what is about to be written.
      if (entries.length === 0 && touchedAt(await parent.find(name)) > until) return undefined
      return sweepEntries(directory, entries, until, surroundings)
    })
    if (bytes === undefined) return 0
    if (!surroundings.isInUse(join(parent.path, name)))
      await parent.rmdir(name).catch(unlessCode(...NOT_EMPTY))
    return bytes
  } catch (error) {
    // Gone with its session, or by the app.
    if (!isNoDirectory(error)) surroundings.report(error)
    return 0
  }
}

async function sweepFile(
  directory: DirectoryHandle,
  name: string,
  until: number,
  { claim, report }: Surroundings,
): Promise<number> {
  const release = claim(join(directory.path, name))
  if (release === undefined) return 0
  let bytes = 0
  try {
    const found = await directory.find(name)
    if (found === undefined) return 0
    bytes = chargeOf(found.size)
    if (touchedAt(found) > until) return bytes
    await directory.unlink(name)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') {
      report(error)
      return bytes
    }
  } finally {
    release()
  }
  return 0
}

/** A copy may keep an old mtime; ctime tells when it came. */
function touchedAt(stats: Stats | undefined): number {
  return stats === undefined ? 0 : Math.max(stats.ctimeMs, stats.mtimeMs)
}
