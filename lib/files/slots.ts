/** A place for one file: a shelf, and a name on it as file systems see it that know no cases. */
export interface Slot {
  readonly shelf: number
  readonly name: string
}

/**
 * The directories that the saved files of a session lie in. Files of one name are each on a shelf of their own, so that
 * all keep their names, and few directories have to be made. A slot is taken before anything is done at its path and given
 * back after that, both without waiting for anything: by a file from before it is published until it is removed, by a sweep
 * while it removes what isn't saved. So no two ever work at one path, and no shelf goes while something is put there.
 */
export class Shelves {
  readonly #stacks = new Map<string, Stack>()
  /** How many slots of each shelf are taken. */
  readonly #counts = new Map<number, number>()

  /** Takes a slot for a name, in O(1). */
  take(name: string): Slot {
    const key = keyOf(name)
    const stack = this.#stackOf(key)
    let shelf: number
    do {
      shelf = first(stack.free) ?? stack.end++
      stack.free.delete(shelf)
    } while (stack.taken.has(shelf))
    return this.#hold(stack, { shelf, name: key })
  }

  /** Takes that slot, unless it is taken. */
  takeAt(shelf: number, name: string): Slot | undefined {
    const key = keyOf(name)
    const stack = this.#stackOf(key)
    return stack.taken.has(shelf) ? undefined : this.#hold(stack, { shelf, name: key })
  }

  giveBack({ shelf, name }: Slot): void {
    const stack = this.#stackOf(name)
    stack.taken.delete(shelf)
    if (shelf < stack.end) stack.free.add(shelf)
    if (stack.taken.size === 0) this.#stacks.delete(name)
    const count = (this.#counts.get(shelf) ?? 0) - 1
    if (count > 0) this.#counts.set(shelf, count)
    else this.#counts.delete(shelf)
  }

  isInUse(shelf: number): boolean {
    return this.#counts.has(shelf)
  }

  #hold(stack: Stack, slot: Slot): Slot {
    stack.taken.add(slot.shelf)
    this.#counts.set(slot.shelf, (this.#counts.get(slot.shelf) ?? 0) + 1)
    return slot
  }

  #stackOf(key: string): Stack {
    const stack = this.#stacks.get(key) ?? { end: 0, free: new Set(), taken: new Set() }
    this.#stacks.set(key, stack)
    return stack
  }
}

/** The slots of one name. */
interface Stack {
  /** The first shelf that the name was never put on. */
  end: number
  readonly free: Set<number>
  readonly taken: Set<number>
}

/** What the directory of a shelf is called. */
export function nameOfShelf(shelf: number): string {
  return shelf === 0 ? 'saved' : `saved-${shelf + 1}`
}

/** Which shelf a directory of that name is, if it is one. */
export function shelfOf(directory: string): number | undefined {
  const number = /^saved(?:-([1-9]\d*))?$/.exec(keyOf(directory))
  if (number === null || number[1] === '1') return undefined
  return Number(number[1] ?? 1) - 1
}

/** The file systems of macOS and Windows take names for the same that differ in case or in how accents are written. */
function keyOf(name: string): string {
  return name.normalize('NFD').toUpperCase().toLowerCase().normalize()
}

function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value
  return undefined
}
