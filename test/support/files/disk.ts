import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import type { TestContext } from 'node:test'
import type { GradioState } from '../../../lib/index.ts'

/** A directory of one test's own. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'gradio-state-test-'))
  // What was asked to end may still be putting something away: in this process too, so nothing may stand still meanwhile.
  t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }))
  return directory
}

/** The files below a directory, hidden and unfinished ones too; not what only says whose a folder is. */
export function filesBelow(directory: string): string[] {
  return walk(directory)
    .map(path => relative(directory, path))
    .filter(path => basename(path) !== 'owner.json')
    .sort()
}

/** The bytes that the files below a directory take now, half-written ones too. */
export function bytesBelow(directory: string): number {
  const sizes = new Map<number, number>()
  for (const path of filesBelow(directory)) {
    const found = statSync(join(directory, path), { throwIfNoEntry: false })
    // Links to one file take its bytes once.
    if (found !== undefined) sizes.set(found.ino, found.size)
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0)
}

/** What goes while it is listed isn't there. */
function walk(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap(entry => {
      const path = join(directory, entry.name)
      return entry.isDirectory() ? walk(path) : [path]
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** What this process has open below a directory, deleted files too. */
export function openBelow(directory: string): string[] {
  return descriptors().filter(path => path.startsWith(directory))
}

/** What the descriptors of this process lead to. */
export function descriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap(name => {
    try {
      return [readlinkSync(`/proc/self/fd/${name}`)]
    } catch {
      // The one that the listing itself had open.
      return []
    }
  })
}

/** Checks that there is no file, no half of one, no open descriptor, and nothing that counts. */
export function assertNothingLeft(gradio: GradioState, directory: string): void {
  const { files, fileBytes } = gradio.stats()
  assert.deepEqual(
    { onDisk: filesBelow(directory), open: openBelow(directory), files, fileBytes },
    { onDisk: [], open: [], files: 0, fileBytes: 0 },
  )
}

/** A disk of that many bytes; `undefined` where this process may not mount one. */
export function smallDisk(t: TestContext, bytes: number): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'gradio-state-disk-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', directory])
  t.after(() => {
    if (status === 0) spawnSync('umount', ['--lazy', directory])
    return rm(directory, { recursive: true, force: true })
  })
  return status === 0 ? directory : undefined
}
