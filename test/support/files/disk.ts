import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import type { TestContext } from 'node:test'
import type { GradioState } from '../../../lib/index.ts'

/** A directory for one test. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'gradio-state-test-'))
  // Removals that have started may still be in progress: in this process too, so it must not be blocked meanwhile.
  t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }))
  return directory
}

/** The files below a directory, including hidden and incomplete ones, but not `owner.json`. */
export function filesBelow(directory: string): string[] {
  return walk(directory)
    .map(path => relative(directory, path))
    .filter(path => basename(path) !== 'owner.json')
    .sort()
}

/** The bytes that the files below a directory use now, including incomplete ones. */
export function bytesBelow(directory: string): number {
  const sizes = new Map<number, number>()
  for (const path of filesBelow(directory)) {
    const found = statSync(join(directory, path), { throwIfNoEntry: false })
    // Several links to one file use its bytes once.
    if (found !== undefined) sizes.set(found.ino, found.size)
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0)
}

/** A file that is deleted during the listing is skipped. */
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

/** The open descriptors of this process below a directory, including those of deleted files. */
export function openBelow(directory: string): string[] {
  return descriptors().filter(path => path.startsWith(directory))
}

/** The targets of this process's descriptors. */
export function descriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap(name => {
    try {
      return [readlinkSync(`/proc/self/fd/${name}`)]
    } catch {
      // The descriptor of the listing itself.
      return []
    }
  })
}

/** Checks that there is no file, complete or not, no open descriptor, and nothing that counts towards limits. */
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
