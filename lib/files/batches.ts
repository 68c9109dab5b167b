/**
 * Files that are removed in one go. Twice as many took the event loop as long, file by file; and uploads wait for those that
 * are under way.
 */
const BATCH = 32

/** Files that are put in order at once: about a millisecond of the event loop. */
const SLICE = 1024

/**
 * Files in batches, and each batch by the sessions that own them. Of as many as are looked at at once, those of one session
 * come one after the other.
 */
export function* batchesOf<File extends Owned>(files: Iterable<File>): Generator<Groups<File>> {
  for (const slice of inSlices(files, SLICE)) {
    const inOrder = [...byOwner(slice).values()].flat()
    for (const batch of inSlices(inOrder, BATCH)) yield byOwner(batch)
  }
}

function* inSlices<T>(all: Iterable<T>, size: number): Generator<T[]> {
  let slice: T[] = []
  for (const each of all) {
    slice.push(each)
    if (slice.length < size) continue
    yield slice
    slice = []
  }
  if (slice.length > 0) yield slice
}

interface Owned {
  readonly owner: unknown
}

type Groups<File extends Owned> = Map<File['owner'], File[]>

function byOwner<File extends Owned>(files: Iterable<File>): Groups<File> {
  const groups: Groups<File> = new Map()
  for (const file of files) {
    const group = groups.get(file.owner)
    if (group === undefined) groups.set(file.owner, [file])
    else group.push(file)
  }
  return groups
}
