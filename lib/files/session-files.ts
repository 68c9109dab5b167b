import { setMaxListeners } from 'node:events'
import { unlink } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { v4 as uuid } from 'uuid'
import { GradioStateError, show } from '../errors.js'
import type { AgeQueue } from './age-queue.js'
import { discard, explainDisk, isFile, isInPlace, makeDirectory } from './disk.js'
import type { InstanceFolder } from './folder.js'
import { Ingest, type Ingested } from './ingest.js'
import { safeName } from './names.js'
import { Quota, Reservation } from './quota.js'
import { pour } from './sources.js'
import type { Store } from './store.js'
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

  constructor(owner: SessionFiles, ...rest: ConstructorParameters<typeof StoredFile>) {
    super(...rest)
    this.owner = owner
  }
}

/** The files of one session. Nothing is on the disk before the first. */
export class SessionFiles {
  readonly path: string
  readonly #context: FilesContext
  readonly #quota: Quota
  readonly #files = new Map<string, OwnedFile>()
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
      has: path => this.#isStored(path),
      // A directory with saved files is called by their hash.
      exclusively: (name, task) => this.#context.store.exclusively(name, task),
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
    const stop = () => ingest.destroy(this.#ending.signal.reason)
    try {
      await folder.make()
      this.#ending.signal.throwIfAborted()
      // Not before: of what is destroyed while nobody pours into it, the error would be nobody's.
      this.#ending.signal.addEventListener('abort', stop)
      await pour(
        content instanceof Readable ? content : Readable.from([content], { objectMode: false }),
        ingest,
      )
      if (!isWhole()) throw new Error('The upload was cut short.')
      const ingested = ingest.result()
      return await store.exclusively(ingested.sha256, () => this.#publish(ingested, name, reservation))
    } catch (error) {
      reservation.release()
      await unlink(join(ingest.path)).catch(() => {})
      throw explainDisk(error)
    } finally {
      this.#ending.signal.removeEventListener('abort', stop)
    }
  }

  async #publish(ingested: Ingested, name: string, reservation: Reservation): Promise<OwnedFile> {
    this.#ending.signal.throwIfAborted()
    const { ages, now, store, total } = this.#context
    const { sha256, size } = ingested
    const twin = this.find(sha256, name)
    if (twin !== undefined) {
      await unlink(ingested.path)
      reservation.release()
      twin.uses++
      twin.createdAt = now()
      ages.delete(twin)
      ages.add(twin)
      return twin
    }
    const path = join(this.path, sha256, name)
    const sharing = await store.publish(ingested, path)
    if (sharing === 'shared') total.release(size)
    const file = new OwnedFile(this, name, sha256, size, path, now(), sharing)
    this.#files.set(keyOf(sha256, name), file)
    ages.add(file)
    return file
  }

  async #forget(file: OwnedFile): Promise<void> {
    const { ages, store, total } = this.#context
    this.#files.delete(keyOf(file.sha256, file.name))
    ages.delete(file)
    this.#quota.release(file.size)
    try {
      if (await store.remove(file.path, file.sha256, file.sharing)) total.release(file.size)
    } catch (error) {
      // It is still there, and counts; the next sweep tries again.
      this.#files.set(keyOf(file.sha256, file.name), file)
      this.#quota.add(file.size)
      ages.holdBack(file)
      throw error
    }
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

  #isStored(path: string): boolean {
    return this.#files.has(path.slice(this.path.length + 1).replaceAll(sep, '/'))
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
