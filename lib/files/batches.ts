/**
 * Files that are removed in one go. Waking the disk's thread costs more than a removal, so that more save little; and uploads
 * wait for it meanwhile.
 */
const BATCH = 64

/** Files in batches, and each batch by the sessions that own them; those of one session come one after the other. */
export function* batchesOf<File extends Owned>(files: Iterable<File>): Generator<Groups<File>> {
  const all = [...byOwner(files).values()].flat()
  for (let from = 0; from < all.length; from += BATCH) yield byOwner(all.slice(from, from + BATCH))
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
