import type { Dirent, Stats } from 'node:fs'
import { join } from 'node:path'
import type { DirectoryAccess, DirectoryHandle } from './directory-handle.js'
import { codeOf, isNoDirectory, NOT_EMPTY, unlessCode } from './disk.js'
import { chargeOf } from './quota.js'

/** How a sweep avoids conflicts with saved files, and reports errors. */
export interface SweepContext {
  /** Reserves `path`, so that no file is saved there. @returns a function that releases it; `undefined` if `path` is already reserved */
  claim(path: string): (() => void) | undefined
  /** Whether files are saved in a directory, or are about to be. */
  isInUse(path: string): boolean
  /** Called with the error of each file that can't be deleted. The sweep continues with the others. */
  report(error: unknown): void
  /** Whether an entry is to be deleted. */
  isDue(entry: Stats): boolean
}

/**
 * Measures on the monotonic clock how long entries have been unchanged: since the first sweep that found them in their current state. Their
 * own times are from the wall clock, which may jump.
 */
export class UnchangedSince {
  #before = new Map<string, number>()
  #found = new Map<string, number>()

  /** Called at the beginning of each sweep. Entries that the last one hasn't found are forgotten. */
  begin(): void {
    this.#before = this.#found
    this.#found = new Map()
  }

  /** @param now milliseconds on the monotonic clock */
  ageOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats, now: number): number {
    const version = [dev, ino, size, mtimeMs, ctimeMs].join(' ')
    const since = this.#before.get(version) ?? now
    this.#found.set(version, since)
    return now - since
  }
}

/**
 * Deletes the files that are due in a directory, except saved ones, and directories that become empty. Links are deleted, never
 * followed.
 * @returns the bytes that the remaining files count towards the limits
 */
export async function sweepUntracked(
  access: DirectoryAccess,
  path: string,
  context: SweepContext,
): Promise<number> {
  try {
    return await access.use(path, async directory =>
      sweepEntries(directory, await directory.entries(), context),
    )
  } catch (error) {
    if (isNoDirectory(error)) return 0
    throw error
  }
}

async function sweepEntries(
  directory: DirectoryHandle,
  entries: Dirent[],
  context: SweepContext,
): Promise<number> {
  let bytes = 0
  for (const entry of entries) {
    const sweep = entry.isDirectory() ? sweepDirectory : sweepFile
    bytes += await sweep(directory, entry.name, context)
  }
  return bytes
}

async function sweepDirectory(parent: DirectoryHandle, name: string, context: SweepContext): Promise<number> {
  try {
    const bytes = await parent.use(name, async directory => {
      const entries = await directory.entries()
      // A new empty directory may be about to be used.
      const stats = entries.length === 0 ? await parent.find(name) : undefined
      if (stats !== undefined && !context.isDue(stats)) return undefined
      return sweepEntries(directory, entries, context)
    })
    if (bytes === undefined) return 0
    if (!context.isInUse(join(parent.path, name))) await parent.rmdir(name).catch(unlessCode(...NOT_EMPTY))
    return bytes
  } catch (error) {
    // Otherwise it was removed in the meantime, by the end of the session or by the app.
    if (!isNoDirectory(error)) context.report(error)
    return 0
  }
}

async function sweepFile(
  directory: DirectoryHandle,
  name: string,
  { claim, report, isDue }: SweepContext,
): Promise<number> {
  const release = claim(join(directory.path, name))
  if (release === undefined) return 0
  let bytes = 0
  try {
    const found = await directory.find(name)
    if (found === undefined) return 0
    bytes = chargeOf(found.size)
    if (!isDue(found)) return bytes
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
