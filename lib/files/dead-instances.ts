import { lstat, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesIfThere, unlessCode } from './disk.js'
import type { InstanceDirectory } from './instance-directory.js'
import { isAlive, OWNER_FILE, readOwner, UUID } from './owner.js'

/**
 * Removes the directories of dead processes from the cache directory. Touches nothing that isn't certainly a directory of this
 * library.
 * @param self the directory of this instance, whose trash is used
 * @param report called with the error of each directory that can't be removed
 */
export async function removeDeadInstances(
  self: InstanceDirectory,
  report: (error: unknown) => void,
): Promise<void> {
  for (const name of await entriesIfThere(self.cacheDir)) {
    const isIncomplete = name.startsWith('.') && name.endsWith('.new')
    const instance = isIncomplete ? name.slice(1, -'.new'.length) : name
    if (!UUID.test(instance) || instance === self.owner.instance) continue
    const directory = join(self.cacheDir, name)
    const found = await readOwner(directory)
    if (found === undefined) {
      if (isIncomplete) await removeEmpty(directory)
    } else if (!isAlive(found.owner, self.owner, Date.now() - found.leasedAt)) {
      const removed = self.create().then(() => self.discard(directory))
      await removed.catch(report)
    }
  }
}

/**
 * Removes the directory of a process that was killed before it had written `owner.json`: it is empty, or the file in it is. A
 * directory with any content is kept, because its owner is unknown. A new one is kept too, because it may not be complete yet.
 */
async function removeEmpty(directory: string): Promise<void> {
  try {
    const { mtimeMs } = await lstat(directory)
    if (Date.now() - mtimeMs < 60_000) return
    const file = join(directory, OWNER_FILE)
    const found = await lstat(file).catch(unlessCode('ENOENT'))
    if (found?.isFile() && found.size === 0) await unlink(file)
    await rmdir(directory)
  } catch {
    // Not empty, or already removed.
  }
}
