import type { Dirent } from 'node:fs'
import { lstat, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, isDirectory, removeIfEmpty } from './disk.js'
import { chargeOf } from './quota.js'

/** What a sweep has to look out for. */
export interface Surroundings {
  /** Lets nobody save a file at `path` until the given function is called; nothing if one is there, or about to be. */
  claim(path: string): (() => void) | undefined
  /** Whether a directory has saved files, or is about to. */
  isInUse(directory: string): boolean
  /** Told of each file that can't be removed: that is no reason to keep the others. */
  report(error: unknown): void
}

/**
 * Deletes what an app has written into a directory by itself and not touched since `until` (ms since the epoch), and
 * the directories that this empties. Links are deleted, never followed.
 * @returns what the strays that stay take of the limits
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
  let bytes = 0
  for (const entry of entries) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) bytes += await sweepBelow(path, until, surroundings)
    else bytes += await sweepFile(path, until, surroundings)
  }
  return bytes
}

async function sweepBelow(directory: string, until: number, surroundings: Surroundings): Promise<number> {
  try {
    const entries = await entriesOf(directory)
    // An empty one may have been made this moment, for what is about to be written.
    if (entries.length === 0 && (await touched(directory)).at > until) return 0
    const bytes = await sweepEntries(directory, entries, until, surroundings)
    if (!surroundings.isInUse(directory)) await removeIfEmpty(directory)
    return bytes
  } catch (error) {
    // Gone with its session, or by the app.
    if (codeOf(error) !== 'ENOENT') surroundings.report(error)
    return 0
  }
}

async function sweepFile(path: string, until: number, { claim, report }: Surroundings): Promise<number> {
  const release = claim(path)
  if (release === undefined) return 0
  let bytes = 0
  try {
    const { at, size } = await touched(path)
    bytes = chargeOf(size)
    if (at > until) return bytes
    await unlink(path)
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
