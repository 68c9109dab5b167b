import { setMaxListeners } from 'node:events'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../errors.js'
import type { AgeQueue } from './age-queue.js'
import { discard, explainDisk, makeDirectory } from './disk.js'
import { Holdings, unknownFile } from './file-index.js'
import type { InstanceFolder } from './instance-directory.js'
import { safeName } from './names.js'
import type { Store } from './publisher.js'
import { chargeOf, type FileLimits, Quota, Reservation } from './quota.js'
import { SessionDirectory } from './session-directory.js'
import type { Slot } from './slots.js'
import { pour } from './sources.js'
import { StoredFile } from './stored-file.js'
import { Ingest, type Ingested } from './writer.js'

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

/** What the files of all sessions share. */
export interface FilesContext {
  readonly folder: InstanceFolder
  readonly store: Store
  readonly ages: AgeQueue<OwnedFile>
  /** The bytes of the whole cache. */
  readonly total: Quota
  readonly maxFileSize: number
  readonly maxSessionBytes: number
  readonly maxSessionFiles: number
  /** Milliseconds, monotonic. */
  now(): number
}

/** The files of one session. Nothing is on the disk before the first. */
export class SessionFiles {
  readonly #directory: SessionDirectory
  readonly #context: FilesContext
  readonly #limits: FileLimits
  readonly #holdings: Holdings<OwnedFile>
  /** Writes under way, which the end waits for until they have given up, and removals. */
  readonly #running = new Set<Promise<unknown>>()
  readonly #ending = new AbortController()
  /** Bytes that the app has written into the directory by itself, as the last sweep found them. */
  #strayBytes = 0
  /** Whether the app was given the directory. */
  #isHandedOut = false

  constructor(context: FilesContext, id: string) {
    this.#context = context
    this.#directory = new SessionDirectory(join(context.folder.path, id), context.store)
    this.#limits = {
      files: new Quota(context.maxSessionFiles, 'SESSION_FULL', 'maxSessionFiles', 'files'),
      bytes: new Quota(context.maxSessionBytes, 'SESSION_FULL', 'maxSessionBytes'),
      total: context.total,
    }
    this.#holdings = new Holdings(context.ages, this.#limits)
    // As many as there are uploads at once; Node.js would warn of a leak from the eleventh on.
    setMaxListeners(Number.POSITIVE_INFINITY, this.#ending.signal)
  }

  /** Of the session's directory. */
  get path(): string {
    return this.#directory.path
  }

  get list(): OwnedFile[] {
    return this.#holdings.list
  }

  get count(): number {
    return this.#holdings.count
  }

  /** Whether the app may have put files of its own into the directory. */
  get mayHaveStrays(): boolean {
    return this.#isHandedOut && !this.#ending.signal.aborted
  }

  /** What the session's files take of its limit: stored, on their way, and found. */
  get bytes(): number {
    return this.#limits.bytes.used
  }

  find(sha256: string, name: string): OwnedFile | undefined {
    return this.#holdings.find(sha256, name)
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
  isThere(file: OwnedFile): Promise<boolean> {
    return this.#directory.has(file)
  }

  /** The file must not be swept until this many `unpin` follow. */
  pin(sha256: string, name: string): OwnedFile {
    const file = this.#holdings.get(sha256, name)
    file.pins++
    return file
  }

  /** Moves a file out of the cache. Gives the absolute path. */
  adopt(sha256: string, name: string, destination: string): Promise<string> {
    return this.#run(async () => {
      const path = resolve(destination)
      await this.#context.store.exclusively(sha256, async () => {
        const file = this.#holdings.get(sha256, name)
        if (!(await this.isThere(file))) throw unknownFile(name)
        await this.#context.store.moveOut(file.path, path)
        await this.#remove(file)
      })
      return path
    })
  }

  /** Deletes files that were due, unless they were deleted, pinned or saved anew meanwhile. Tells what has failed. */
  async removeAged(files: readonly OwnedFile[], until: number): Promise<unknown[]> {
    const { store } = this.#context
    // Those that somebody works on hold up only themselves, not who wants to work on the others.
    const free = files.filter(file => !store.isBusy(file.sha256))
    const groups = files.filter(file => store.isBusy(file.sha256)).map(file => [file])
    if (free.length > 0) groups.push(free)
    const removals = groups.map(group => this.#track(this.#removeDue(group, until)))
    return (await Promise.all(removals)).flat()
  }

  /** Takes one upload back: the file goes with the last that gave these bytes this name. */
  takeBack(file: OwnedFile): Promise<void> {
    const taken = this.#context.store.exclusively(file.sha256, async () => {
      // Counted here: an upload of the same that is just being published is one more use.
      if (--file.uses === 0 && this.#holdings.has(file)) await this.#remove(file)
    })
    return this.#track(taken)
  }

  /** Deletes what the app has put into the directory by itself, if it is older than `age` (ms), and counts the rest. */
  async sweepStrays(age: number, report: (error: unknown) => void): Promise<void> {
    if (!this.mayHaveStrays) return
    const bytes = await this.#directory.sweep(Date.now() - age, report)
    // The end releases what was counted before.
    if (this.#ending.signal.aborted) return
    this.#context.total.add(bytes - this.#strayBytes)
    this.#limits.bytes.add(bytes - this.#strayBytes)
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
    const { folder, store, total } = this.#context
    const files = this.list
    // At once: a sweep would look for them where they no longer are.
    this.#holdings.clear()
    if (folder.exists) await discard(this.path, folder.trash)
    total.release(this.#strayBytes)
    for (const file of files) {
      const isFreed =
        file.sharing === 'alone' || (await store.exclusively(file.sha256, () => store.collect(file.sha256)))
      if (isFreed) total.release(chargeOf(file.size))
    }
  }

  async #save(content: Readable | Uint8Array, name: string, isWhole: () => boolean): Promise<OwnedFile> {
    const { folder, maxFileSize, store } = this.#context
    const reservation = new Reservation(maxFileSize, this.#limits)
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
    const { now, total } = this.#context
    const { sha256, size } = ingested
    const twin = this.find(sha256, name)
    if (twin !== undefined) {
      await ingest.abandon()
      reservation.release()
      this.#holdings.renew(twin, now())
      return twin
    }
    const { slot, path, sharing } = await this.#directory.put(ingest, sha256, name)
    if (sharing === 'shared') total.release(chargeOf(size))
    const file = new OwnedFile(this, slot, name, sha256, size, path, now(), sharing)
    this.#holdings.add(file)
    return file
  }

  #removeDue(files: readonly OwnedFile[], until: number): Promise<unknown[]> {
    const { ages, store } = this.#context
    const contents = files.map(file => file.sha256)
    return store.exclusivelyAll(contents, () => {
      const due = files.filter(file => this.#holdings.has(file) && file.createdAt <= until)
      for (const file of due) if (file.isPinned) ages.holdBack(file)
      return this.#removeAll(due.filter(file => !file.isPinned))
    })
  }

  async #remove(file: OwnedFile): Promise<void> {
    for (const error of await this.#removeAll([file])) throw error
  }

  /** Removes files while nobody else works on their contents. Tells what has failed. */
  async #removeAll(files: readonly OwnedFile[]): Promise<unknown[]> {
    const { total } = this.#context
    for (const file of files) this.#holdings.release(file)
    const { freed, stuck, errors } = await this.#directory.remove(files)
    for (const file of stuck) this.#holdings.restore(file)
    for (const file of freed) total.release(chargeOf(file.size))
    return errors
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
}

function sessionEnded(): GradioStateError {
  return new GradioStateError('SESSION_ENDED', 'Expected a session that lives, got one that has ended.')
}
