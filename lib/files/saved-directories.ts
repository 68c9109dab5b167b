/** Where a file lies in its session's directory: in which of the `saved` directories, and under which name. */
export interface Place {
  readonly directory: number
  /** As file systems see it that ignore case. */
  readonly name: string
}

/**
 * The directories `saved`, `saved-2`, … in a session's directory. Files of the same name lie in different ones, so that all
 * keep their names, and few directories have to be created. A place is reserved synchronously before anything is done at its
 * path, and released after that: by a file from before it is published until it is removed, by a sweep while it removes a
 * file that isn't saved. So no two ever work at one path, and no directory is removed while something is put there.
 */
export class SavedDirectories {
  readonly #names = new Map<string, NameUse>()
  /** How many places are reserved in each directory. */
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

  /** Reserves that place, unless it is reserved. */
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

/** In which directories a name is used. */
interface NameUse {
  /** The first directory that the name was never used in. */
  end: number
  readonly free: Set<number>
  readonly reserved: Set<number>
}

export function nameOfDirectory(directory: number): string {
  return directory === 0 ? 'saved' : `saved-${directory + 1}`
}

/** Which of the directories has that name, if one has. */
export function directoryOfName(name: string): number | undefined {
  const number = /^saved(?:-([1-9]\d*))?$/.exec(keyOf(name))
  if (number === null || number[1] === '1') return undefined
  return Number(number[1] ?? 1) - 1
}

/** The file systems of macOS and Windows treat names as equal that differ in case or in how accents are encoded. */
function keyOf(name: string): string {
  return name.normalize('NFD').toUpperCase().toLowerCase().normalize()
}

function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value
  return undefined
}
