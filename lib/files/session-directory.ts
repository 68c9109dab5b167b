import { dirname, join, relative, sep } from 'node:path'
import { isFile, isInPlace } from './disk.js'
import { disk } from './disk-thread.js'
import type { Sharing, Store } from './publisher.js'
import { ShelfTrips } from './slot-trip.js'
import { nameOfShelf, Shelves, type Slot, shelfOf } from './slots.js'
import type { Call } from './trips.js'
import { sweepDirectory } from './untracked-files.js'
import type { Ingest } from './writer.js'

/** Where a file lies in the directory of its session, and how. */
export interface Place {
  readonly path: string
  readonly slot: Slot
  readonly sharing: Sharing
}

/** What has become of files that were to be removed. */
export interface Removal<T> {
  /** Those whose bytes are gone from the disk. */
  readonly freed: T[]
  /** Those that are still there. */
  readonly stuck: T[]
  /** What has failed. */
  readonly errors: unknown[]
}

/** The directory of one session, as it lies on the disk: puts its files on shelves, and takes them away. */
export class SessionDirectory {
  readonly path: string
  readonly #store: Store
  readonly #shelves = new Shelves()

  constructor(path: string, store: Store) {
    this.path = path
    this.#store = store
  }

  /** Whether a file is where it was put, and no link leads elsewhere by its path. */
  async has({ path }: Pick<Place, 'path'>): Promise<boolean> {
    return (await isInPlace(dirname(path))) && isFile(path)
  }

  /** Puts a file on the first shelf where nothing is in its way: what the app has put there stays. */
  async put(ingest: Ingest, sha256: string, name: string): Promise<Place> {
    const passed: Slot[] = []
    try {
      for (;;) {
        const slot = this.#shelves.take(name)
        passed.push(slot)
        const path = join(this.#pathOf(slot.shelf), name)
        const sharing = await this.#store.publish(ingest, sha256, path)
        if (sharing === undefined) continue
        passed.pop()
        return { slot, path, sharing }
      }
    } finally {
      for (const slot of passed) this.#shelves.giveBack(slot)
    }
  }

  /** Removes files, on whose contents nobody else works, and the shelves that this empties. */
  async remove<T extends Place & { readonly sha256: string }>(files: readonly T[]): Promise<Removal<T>> {
    const removal: Removal<T> = { freed: [], stuck: [], errors: [] }
    const failed = await this.#unlink(files)
    const settle = async (file: T) => {
      try {
        if (failed.has(file)) throw failed.get(file)
        if (file.sharing === 'alone' || (await this.#store.collect(file.sha256))) removal.freed.push(file)
        this.#shelves.giveBack(file.slot)
      } catch (error) {
        removal.stuck.push(file)
        removal.errors.push(error)
      }
    }
    await Promise.all(files.map(settle))
    removal.errors.push(...(await this.#clear(new Set(files.map(file => file.slot.shelf)))))
    return removal
  }

  /**
   * Deletes what the app has put there by itself and not touched since `until` (ms since the epoch).
   * @returns what that which stays takes of the limits
   */
  sweep(until: number, report: (error: unknown) => void): Promise<number> {
    return sweepDirectory(this.path, until, {
      claim: path => this.#claim(path),
      isInUse: directory => this.#shelves.isInUse(shelfOf(relative(this.path, directory)) ?? -1),
      report,
    })
  }

  /** Tells which files could not be removed, and why. */
  async #unlink<T extends Place>(files: readonly T[]): Promise<Map<T, unknown>> {
    const visits = new Map<number, { shelf: string; calls: Call[] }>()
    const fileOf = new Map<Call, T>()
    for (const file of files) {
      const { shelf } = file.slot
      const call: Call = ['unlink', file.path]
      fileOf.set(call, file)
      const visit = visits.get(shelf)
      if (visit === undefined) visits.set(shelf, { shelf: dirname(file.path), calls: [call] })
      else visit.calls.push(call)
    }
    const failed = await trips.visit([...visits.values()])
    // Others' calls are among those that have failed.
    return new Map(
      [...fileOf].filter(([call]) => failed.has(call)).map(([call, file]) => [file, failed.get(call)]),
    )
  }

  /** Removes those shelves that are empty. Somebody may come meanwhile, who finds one gone, and makes it again. */
  async #clear(shelves: Iterable<number>): Promise<unknown[]> {
    const paths = [...shelves]
      .filter(shelf => !this.#shelves.isInUse(shelf))
      .map(shelf => this.#pathOf(shelf))
    if (paths.length === 0) return []
    const visits = paths.map(shelf => ({ shelf, calls: [['rmdir', shelf] satisfies Call] }))
    const failed = await trips.visit(visits)
    return visits.flatMap(({ calls }) => calls.filter(call => failed.has(call)).map(call => failed.get(call)))
  }

  /** Takes the slot of a path, if it has one, until the given function is called; nothing when it is taken. */
  #claim(path: string): (() => void) | undefined {
    const [directory = '', name, below] = relative(this.path, path).split(sep)
    const shelf = shelfOf(directory)
    if (shelf === undefined || name === undefined || below !== undefined) return () => {}
    const slot = this.#shelves.takeAt(shelf, name)
    return slot && (() => this.#shelves.giveBack(slot))
  }

  #pathOf(shelf: number): string {
    return join(this.path, nameOfShelf(shelf))
  }
}

/** Those of all sessions: a sweep removes a few files of each of many. */
const trips = new ShelfTrips(disk)
