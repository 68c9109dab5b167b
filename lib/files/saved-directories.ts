/** The place of a file in its session's directory: the number of the `saved` directory, and the name. */
export interface Place {
  readonly directory: number
  /** Normalized, so that names are equal that are equal on a file system that ignores case. */
  readonly name: string
}

/**
 * Assigns files to the directories `saved`, `saved-2`, … of a session's directory. Files with the same name are stored in
 * different directories, so that all keep their names and few directories are needed. A place is reserved synchronously before
 * its path is accessed, and released afterwards: a saved file has it from before it is published until it was removed, and a
 * sweep while it removes an untracked file. So a path is never accessed by two operations at once, and no directory is
 * removed while a file is moved into it.
 */
export class SavedDirectories {
  readonly #names = new Map<string, NameUse>()
  /** The number of reserved places in each directory. */
  readonly #counts = new Map<number, number>()

  /** Reserves a place for a name, in O(1). */
  reserve(name: string): Place {
    const key = keyOf(name)
    const use = this.#useOf(key)
    let directory: number
    do {
      directory = first(use.free) ?? use.end++
      use.free.delete(directory)
    } while (use.reserved.has(directory))
    return this.#add(use, { directory, name: key })
  }

  /** Reserves this place; `undefined` if it is already reserved. */
  reserveAt(directory: number, name: string): Place | undefined {
    const key = keyOf(name)
    const use = this.#useOf(key)
    return use.reserved.has(directory) ? undefined : this.#add(use, { directory, name: key })
  }

  release({ directory, name }: Place): void {
    const use = this.#useOf(name)
    use.reserved.delete(directory)
    if (directory < use.end) use.free.add(directory)
    if (use.reserved.size === 0) this.#names.delete(name)
    const count = (this.#counts.get(directory) ?? 0) - 1
    if (count > 0) this.#counts.set(directory, count)
    else this.#counts.delete(directory)
  }

  isInUse(directory: number): boolean {
    return this.#counts.has(directory)
  }

  #add(use: NameUse, place: Place): Place {
    use.reserved.add(place.directory)
    this.#counts.set(place.directory, (this.#counts.get(place.directory) ?? 0) + 1)
    return place
  }

  #useOf(key: string): NameUse {
    const use = this.#names.get(key) ?? { end: 0, free: new Set(), reserved: new Set() }
    this.#names.set(key, use)
    return use
  }
}

/** The directories in which a name is used. */
interface NameUse {
  /** The name was never used in this directory or later ones. */
  end: number
  readonly free: Set<number>
  readonly reserved: Set<number>
}

export function nameOfDirectory(directory: number): string {
  return directory === 0 ? 'saved' : `saved-${directory + 1}`
}

/** The number of the directory with this name; `undefined` if it isn't one of them. */
export function directoryOfName(name: string): number | undefined {
  const number = /^saved(?:-([1-9]\d*))?$/.exec(keyOf(name))
  if (number === null || number[1] === '1') return undefined
  return Number(number[1] ?? 1) - 1
}

/** The file systems of macOS and Windows treat names as equal that differ only in case or in the encoding of accents. */
function keyOf(name: string): string {
  return name.normalize('NFD').toUpperCase().toLowerCase().normalize()
}

function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value
  return undefined
}
