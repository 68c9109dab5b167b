import { dirname } from 'node:path'
import type { AgeQueue } from './age-queue.js'
import { attemptEach } from './disk.js'
import type { StoredFile } from './stored-file.js'

/** Deletes the files that were created at `until` or before. If that fails, it is reported, and the next sweep tries again. */
export async function sweepAged(
  ages: AgeQueue<StoredFile>,
  until: number,
  report: (error: unknown) => void,
): Promise<void> {
  let batch: StoredFile[] = []
  for (const file of ages.due(until)) {
    batch.push(file)
    if (batch.length < BATCH_SIZE) continue
    await deleteAll(batch, until, report)
    batch = []
  }
  await deleteAll(batch, until, report)
}

/** Grouping this many files blocks the event loop for about a millisecond. */
const BATCH_SIZE = 1024

/** Groups the files by directory, so that each directory is opened only once. */
async function deleteAll(
  files: readonly StoredFile[],
  until: number,
  report: (error: unknown) => void,
): Promise<void> {
  const deleteFrom = async (files: Group) => {
    const [{ owner, place }] = files
    for (const error of await owner.deleteAged(place.directory, files, until)) report(error)
  }
  for (const error of await attemptEach(byDirectory(files), deleteFrom, DIRECTORY_CONCURRENCY)) report(error)
}

/** More than one, because with one file per directory most of libuv's thread pool would be idle. */
const DIRECTORY_CONCURRENCY = 4

type Group = [StoredFile, ...StoredFile[]]

function byDirectory(files: readonly StoredFile[]): Group[] {
  const groups = new Map<string, Group>()
  for (const file of files) {
    const directory = dirname(file.path)
    const group = groups.get(directory)
    if (group === undefined) groups.set(directory, [file])
    else group.push(file)
  }
  return [...groups.values()]
}
