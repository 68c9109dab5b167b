import { setMaxListeners } from 'node:events'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { v4 as uuid } from 'uuid'
import { GradioStateError, show } from '../errors.js'
import type { AgeQueue } from './age-queue.js'
import { discard, explainDisk, isFile, isInPlace, makeDirectory } from './disk.js'
import type { InstanceFolder } from './folder.js'
import { Ingest, type Ingested } from './ingest.js'
import { safeName } from './names.js'
import { Quota, Reservation } from './quota.js'
import { nameOfShelf, Shelves, type Slot, shelfOf } from './shelves.js'
import { pour } from './sources.js'
import { removeIfEmpty, type Sharing, type Store } from './store.js'
import { StoredFile } from './stored-file.js'
import { sweepDirectory } from './strays.js'

/** What the files of all sessions share. */
export interface FilesContext {
  readonly folder: InstanceFolder
  readonly store: Store
  readonly ages: AgeQueue<OwnedFile>
  /** The bytes of the whole cache. */
  readonly total: Quota
  readonly maxFileSize: number
  readonly maxSessionBytes: number
  /** Milliseconds, monotonic. */
  now(): number
}

/** A file together with the session that has it. */
export class OwnedFile extends StoredFile {
  readonly owner: SessionFiles
  readonly slot: Slot

  constructor(owner: SessionFiles, slot: Slot, ...rest: ConstructorParameters<typeof StoredFile>) {
    super(...rest)
    this.owner = owner
    this.slot = slot
  }
}

/** The files of one session. Nothing is on the disk before the first. */
export class SessionFiles {
  readonly path: string
  readonly #context: FilesContext
  readonly #quota: Quota
  readonly #files = new Map<string, OwnedFile>()
  readonly #shelves = new Shelves()
  /** Writes under way, which the end waits for until they have given up, and removals. */
  readonly #running = new Set<Promise<unknown>>()
  readonly #ending = new AbortController()
  /** Bytes that the app has written into the directory by itself, as the last sweep found them. */
  #strayBytes = 0
  /** Whether the app was given the directory, and may have put files of its own there. */
  #isHandedOut = false

  constructor(context: FilesContext, id: string) {
    this.#context = context
    this.path = join(context.folder.path, id)
    this.#quota = new Quota(context.maxSessionBytes, 'SESSION_FULL', 'maxSessionBytes')
    // As many as there are uploads at once; Node.js would warn of a leak from the eleventh on.
    setMaxListeners(Number.POSITIVE_INFINITY, this.#ending.signal)
  }

  get list(): OwnedFile[] {
    return [...this.#files.values()]
  }

  get count(): number {
    return this.#files.size
  }

  /** The bytes of the session: stored, on their way, and found. */
  get bytes(): number {
    return this.#quota.used
  }

  find(sha256: string, name: string): OwnedFile | undefined {
    return this.#files.get(keyOf(sha256, name))
  }

  /**
   * Stores what `content` has.
   * @param isWhole asked at the end: whether that was all, or the source was cut short without an error
   * @throws GradioStateError `FILE_TOO_LARGE`, `SESSION_FULL`, `CACHE_FULL`, `DISK_FULL`, `SESSION_ENDED`
   */
  save(
    content: Readable | Uint8Array,
    name: string,
    isWhole: () => boolean = () => true,
  ): Promise<OwnedFile> {
    return this.#run(() => this.#save(content, safeName(name), isWhole))
  }

  /** The session's directory, for files that the app writes by itself. */
  directory(): Promise<string> {
    return this.#run(async () => {
      await this.#context.folder.make()
      await makeDirectory(this.path)
      this.#isHandedOut = true
      return this.path
    })
  }

  /** Whether a file is where it was put, and no link leads elsewhere by its path. */
  async isThere({ path }: OwnedFile): Promise<boolean> {
    return (await isInPlace(dirname(path))) && isFile(path)
  }

  /** The file must not be swept until this many `unpin` follow. */
  pin(sha256: string, name: string): OwnedFile {
    const file = this.#mustFind(sha256, name)
    file.pins++
    return file
  }

  /** Moves a file out of the cache. Gives the absolute path. */
  adopt(sha256: string, name: string, destination: string): Promise<string> {
    return this.#run(async () => {
      const path = resolve(destination)
      await this.#context.store.exclusively(sha256, async () => {
        const file = this.#mustFind(sha256, name)
        if (!(await this.isThere(file))) throw unknownFile(name)
        await this.#context.store.moveOut(file.path, path)
        await this.#forget(file)
      })
      return path
    })
  }

  /** Deletes a file that was due, unless it was deleted, pinned or saved anew meanwhile. */
  removeAged(file: OwnedFile, until: number): Promise<void> {
    const { ages, store } = this.#context
    const removed = store.exclusively(file.sha256, async () => {
      if (this.find(file.sha256, file.name) !== file || file.createdAt > until) return
      if (file.isPinned) ages.holdBack(file)
      else await this.#forget(file)
    })
    return this.#track(removed)
  }

  /** Takes one upload back: the file goes with the last that gave these bytes this name. */
  takeBack(file: OwnedFile): Promise<void> {
    const taken = this.#context.store.exclusively(file.sha256, async () => {
      // Counted here: an upload of the same that is just being published is one more use.
      if (--file.uses === 0 && this.find(file.sha256, file.name) === file) await this.#forget(file)
    })
    return this.#track(taken)
  }

  /** Deletes what the app has put into the directory by itself, if it is older than `age` (ms), and counts the rest. */
  async sweepStrays(age: number, report: (error: unknown) => void): Promise<void> {
    if (!this.#isHandedOut || this.#ending.signal.aborted) return
    const bytes = await sweepDirectory(this.path, Date.now() - age, {
      claim: path => this.#claim(path),
      isInUse: directory => this.#shelves.isInUse(shelfOf(relative(this.path, directory)) ?? -1),
      report,
    })
    // The end releases what was counted before.
    if (this.#ending.signal.aborted) return
    this.#context.total.add(bytes - this.#strayBytes)
    this.#quota.add(bytes - this.#strayBytes)
    this.#strayBytes = bytes
  }

  /** Lets nothing new in, and gives up what is being written. */
  abort(): void {
    this.#ending.abort(sessionEnded())
  }

  /** Removes the directory with all that is in it. */
  async end(): Promise<void> {
    this.abort()
    await Promise.allSettled(this.#running)
    const { ages, folder, store, total } = this.#context
    const files = this.list
    // At once: a sweep would look for them where they no longer are.
    this.#files.clear()
    for (const file of files) ages.delete(file)
    if (folder.exists) await discard(this.path, folder.trash)
    total.release(this.#strayBytes)
    for (const file of files) {
      const isFreed =
        file.sharing === 'alone' || (await store.exclusively(file.sha256, () => store.collect(file.sha256)))
      if (isFreed) total.release(file.size)
    }
  }

  async #save(content: Readable | Uint8Array, name: string, isWhole: () => boolean): Promise<OwnedFile> {
    const { folder, maxFileSize, store, total } = this.#context
    const reservation = new Reservation(
      new Quota(maxFileSize, 'FILE_TOO_LARGE', 'maxFileSize'),
      this.#quota,
      total,
    )
    const ingest = new Ingest(join(folder.incoming, uuid()), reservation)
    try {
      await folder.make()
      this.#ending.signal.throwIfAborted()
      if (content instanceof Readable) await pour(content, ingest, this.#ending.signal)
      else ingest.take(content)
      if (!isWhole()) throw new Error('The upload was cut short.')
      const ingested = await ingest.finish()
      return await store.exclusively(ingested.sha256, () =>
        this.#publish(ingest, ingested, name, reservation),
      )
    } catch (error) {
      // Why it has failed says more than what fails then.
      await ingest.abandon().catch(() => {})
      reservation.release()
      throw explainDisk(error)
    }
  }

  async #publish(
    ingest: Ingest,
    ingested: Ingested,
    name: string,
    reservation: Reservation,
  ): Promise<OwnedFile> {
    this.#ending.signal.throwIfAborted()
    const { ages, now, total } = this.#context
    const { sha256, size } = ingested
    const twin = this.find(sha256, name)
    if (twin !== undefined) {
      await ingest.abandon()
      reservation.release()
      twin.uses++
      twin.createdAt = now()
      ages.delete(twin)
      ages.add(twin)
      return twin
    }
    const { slot, path, sharing } = await this.#shelve(ingest, sha256, name)
    if (sharing === 'shared') total.release(size)
    const file = new OwnedFile(this, slot, name, sha256, size, path, now(), sharing)
    this.#files.set(keyOf(sha256, name), file)
    ages.add(file)
    return file
  }

  /** Puts a file on the first shelf where nothing is in its way: what the app has put there stays. */
  async #shelve(
    ingest: Ingest,
    sha256: string,
    name: string,
  ): Promise<{ slot: Slot; path: string; sharing: Sharing }> {
    const passed: Slot[] = []
    try {
      for (;;) {
        const slot = this.#shelves.take(name)
        passed.push(slot)
        const path = join(this.path, nameOfShelf(slot.shelf), name)
        const sharing = await this.#context.store.publish(ingest, sha256, path)
        if (sharing === undefined) continue
        passed.pop()
        return { slot, path, sharing }
      }
    } finally {
      for (const slot of passed) this.#shelves.giveBack(slot)
    }
  }

  async #forget(file: OwnedFile): Promise<void> {
    const { ages, store, total } = this.#context
    this.#files.delete(keyOf(file.sha256, file.name))
    ages.delete(file)
    this.#quota.release(file.size)
    let isFreed: boolean
    try {
      isFreed = await store.remove(file.path, file.sha256, file.sharing)
    } catch (error) {
      // It is still there, and counts; the next sweep tries again.
      this.#files.set(keyOf(file.sha256, file.name), file)
      this.#quota.add(file.size)
      ages.holdBack(file)
      throw error
    }
    this.#shelves.giveBack(file.slot)
    try {
      await this.#clear(file.slot.shelf)
    } finally {
      if (isFreed) total.release(file.size)
    }
  }

  /** Removes an empty shelf. */
  async #clear(shelf: number): Promise<void> {
    const path = join(this.path, nameOfShelf(shelf))
    if (this.#shelves.isInUse(shelf) || !(await isInPlace(path))) return
    // Somebody may have come meanwhile. Who comes after this finds it gone, and makes it again.
    if (!this.#shelves.isInUse(shelf)) await removeIfEmpty(path)
  }

  /** Takes the slot of a path, if it has one, until the given function is called; nothing when it is taken. */
  #claim(path: string): (() => void) | undefined {
    const [directory = '', name, below] = relative(this.path, path).split(sep)
    const shelf = shelfOf(directory)
    if (shelf === undefined || name === undefined || below !== undefined) return () => {}
    const slot = this.#shelves.takeAt(shelf, name)
    return slot && (() => this.#shelves.giveBack(slot))
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    this.#ending.signal.throwIfAborted()
    return this.#track(work())
  }

  async #track<T>(running: Promise<T>): Promise<T> {
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  #mustFind(sha256: string, name: string): OwnedFile {
    const file = this.find(sha256, name)
    if (file !== undefined) return file
    throw unknownFile(name)
  }
}

function unknownFile(name: string): GradioStateError {
  return new GradioStateError(
    'FILE_UNKNOWN',
    `Expected a file of this session, got ${show(name)}, which isn't or was deleted.`,
  )
}

function keyOf(sha256: string, name: string): string {
  return `${sha256}/${name}`
}

function sessionEnded(): GradioStateError {
  return new GradioStateError('SESSION_ENDED', 'Expected a session that lives, got one that has ended.')
}
