import { dirname } from 'node:path'
import type { AgeQueue } from './age-queue.js'
import { attemptEach } from './disk.js'
import type { StoredFile } from './stored-file.js'

/** Deletes the files that were created at `until` or before. One that can't be deleted is reported, and tried again next time. */
export async function sweepAged(
  ages: AgeQueue<StoredFile>,
  until: number,
  report: (error: unknown) => void,
): Promise<void> {
  let slice: StoredFile[] = []
  for (const file of ages.due(until)) {
    slice.push(file)
    if (slice.length < SLICE) continue
    await deleteAll(slice, until, report)
    slice = []
  }
  await deleteAll(slice, until, report)
}

/** Files that are put in order at once: about a millisecond of the event loop. */
const SLICE = 1024

/** Each directory is opened once. */
async function deleteAll(
  files: readonly StoredFile[],
  until: number,
  report: (error: unknown) => void,
): Promise<void> {
  const deleteFrom = async (files: Group) => {
    const [{ owner, place }] = files
    for (const error of await owner.deleteAged(place.directory, files, until)) report(error)
  }
  for (const error of await attemptEach(byDirectory(files), deleteFrom, DIRECTORIES_AT_ONCE)) report(error)
}

/** Where each directory has a single file, one after the other would leave most of the thread pool idle. */
const DIRECTORIES_AT_ONCE = 4

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
