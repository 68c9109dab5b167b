import type { Dirent, Stats } from 'node:fs'
import { join } from 'node:path'
import type { DirectoryAccess, DirectoryHandle } from './directory-handle.js'
import { codeOf, isNoDirectory, NOT_EMPTY, unlessCode } from './disk.js'
import { chargeOf } from './quota.js'

/** How a sweep avoids conflicts with saved files, and reports errors. */
export interface SweepContext {
  /** Reserves `path`, so that no file is saved there. @returns releases it; `undefined` if `path` is already reserved */
  claim(path: string): (() => void) | undefined
  /** Whether files are saved in a directory, or are about to be. */
  isInUse(path: string): boolean
  /** Called with the error of each file that can't be deleted. The sweep continues with the others. */
  report(error: unknown): void
}

/**
 * Deletes the files in a directory that the app has written itself and not changed since `until` (ms since the epoch), and
 * directories that become empty. Links are deleted, never followed.
 * @returns the bytes that the remaining files count towards the limits
 */
export async function sweepUntracked(
  access: DirectoryAccess,
  path: string,
  until: number,
  context: SweepContext,
): Promise<number> {
  try {
    return await access.use(path, async directory =>
      sweepEntries(directory, await directory.entries(), until, context),
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
  context: SweepContext,
): Promise<number> {
  let bytes = 0
  for (const entry of entries) {
    const sweep = entry.isDirectory() ? sweepDirectory : sweepFile
    bytes += await sweep(directory, entry.name, until, context)
  }
  return bytes
}

async function sweepDirectory(
  parent: DirectoryHandle,
  name: string,
  until: number,
  context: SweepContext,
): Promise<number> {
  try {
    const bytes = await parent.use(name, async directory => {
      const entries = await directory.entries()
      // A new empty directory may be about to be used.
      if (entries.length === 0 && changedAt(await parent.find(name)) > until) return undefined
      return sweepEntries(directory, entries, until, context)
    })
    if (bytes === undefined) return 0
    if (!context.isInUse(join(parent.path, name))) await parent.rmdir(name).catch(unlessCode(...NOT_EMPTY))
    return bytes
  } catch (error) {
    // Otherwise it was removed meanwhile, by the end of the session or by the app.
    if (!isNoDirectory(error)) context.report(error)
    return 0
  }
}

async function sweepFile(
  directory: DirectoryHandle,
  name: string,
  until: number,
  { claim, report }: SweepContext,
): Promise<number> {
  const release = claim(join(directory.path, name))
  if (release === undefined) return 0
  let bytes = 0
  try {
    const found = await directory.find(name)
    if (found === undefined) return 0
    bytes = chargeOf(found.size)
    if (changedAt(found) > until) return bytes
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

/** The later of mtime and ctime: a copied file may have an old mtime, but its ctime is the time of the copy. */
function changedAt(stats: Stats | undefined): number {
  return stats === undefined ? 0 : Math.max(stats.ctimeMs, stats.mtimeMs)
}
