import { setMaxListeners } from 'node:events'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../errors.js'
import type { AgeQueue } from './age-queue.js'
import { attemptEach, explainDiskFull } from './disk.js'
import { FileIndex, unknownFile } from './file-index.js'
import type { InstanceDirectory } from './instance-directory.js'
import { safeName } from './names.js'
import type { Publisher } from './publisher.js'
import { chargeOf, type FileLimits, Quota, Reservation } from './quota.js'
import { SessionDirectory, type Unlink } from './session-directory.js'
import { readableOf } from './sources.js'
import type { FileOwner, StoredFile } from './stored-file.js'
import { FileWriter } from './writer.js'

/** Shared by the files of all sessions. */
export interface FilesContext {
  readonly instance: InstanceDirectory
  readonly publisher: Publisher
  readonly ages: AgeQueue<StoredFile>
  /** The bytes of all files of the instance. */
  readonly total: Quota
  readonly maxFileSize: number
  readonly maxSessionBytes: number
  readonly maxSessionFiles: number
  /** Milliseconds on the monotonic clock. */
  now(): number
}

/** The files of one session. Nothing is created on the disk before the first file. */
export class SessionFiles implements FileOwner {
  readonly #directory: SessionDirectory
  readonly #context: FilesContext
  readonly #limits: FileLimits
  readonly #index: FileIndex
  /** Running writes and removals. `end` waits for them. */
  readonly #running = new Set<Promise<unknown>>()
  readonly #ending = new AbortController()
  /** The bytes of the files that the app has written itself, as counted by the last sweep. */
  #untrackedBytes = 0
  /** Whether the app has requested the path of the directory. */
  #isDirectoryRequested = false

  constructor(context: FilesContext, id: string) {
    this.#context = context
    this.#directory = new SessionDirectory(join(context.instance.path, id), context.instance.access)
    this.#limits = {
      files: new Quota(context.maxSessionFiles, 'SESSION_FULL', 'maxSessionFiles', 'files'),
      bytes: new Quota(context.maxSessionBytes, 'SESSION_FULL', 'maxSessionBytes'),
      total: context.total,
    }
    this.#index = new FileIndex(context.ages, this.#limits)
    // Each running upload adds a listener. Node.js would warn of a leak at the eleventh.
    setMaxListeners(Number.POSITIVE_INFINITY, this.#ending.signal)
  }

  get path(): string {
    return this.#directory.path
  }

  get list(): StoredFile[] {
    return this.#index.list
  }

  get count(): number {
    return this.#index.count
  }

  /** Whether the app may have written files into the directory itself. */
  get mayHaveUntracked(): boolean {
    return this.#isDirectoryRequested && !this.#ending.signal.aborted
  }

  /** The bytes that count towards `maxSessionBytes`: stored files, files being written, and files that a sweep has found. */
  get bytes(): number {
    return this.#limits.bytes.used
  }

  find(sha256: string, name: string): StoredFile | undefined {
    return this.#index.find(sha256, name)
  }

  /**
   * Saves a file.
   * @param isComplete called at the end of `content`: returns `false` if the content was truncated without an error
   * @throws GradioStateError `FILE_TOO_LARGE`, `SESSION_FULL`, `CACHE_FULL`, `DISK_FULL`, `SESSION_ENDED`
   */
  save(
    content: Readable | Uint8Array,
    name: string,
    isComplete: () => boolean = () => true,
  ): Promise<StoredFile> {
    return this.#run(() => this.#save(content, safeName(name), isComplete))
  }

  /** Creates the session's directory, for files that the app writes itself. @returns its path */
  directory(): Promise<string> {
    return this.#run(async () => {
      await this.#context.instance.create()
      await this.#directory.create()
      this.#isDirectoryRequested = true
      return this.path
    })
  }

  async isThere({ place, name }: StoredFile): Promise<boolean> {
    return (await this.#directory.useFile(place, name, async () => true)) === true
  }

  /** Protects a file from sweeps. To release it, decrement its `pins`. */
  pin(sha256: string, name: string): StoredFile {
    const file = this.#index.get(sha256, name)
    file.pins++
    return file
  }

  /** Moves a file out of the cache. @returns the absolute path */
  adopt(sha256: string, name: string, destination: string): Promise<string> {
    return this.#run(async () => {
      const path = resolve(destination)
      const { publisher } = this.#context
      await publisher.exclusively(sha256, async () => {
        const file = this.#index.get(sha256, name)
        const isCopied = await this.#directory.useFile(file.place, name, async source => {
          await publisher.copyOut(source, path)
          return true
        })
        if (isCopied === undefined) throw unknownFile(name)
        await this.#delete(file)
      })
      return path
    })
  }

  deleteAged(directory: number, files: readonly StoredFile[], until: number): Promise<unknown[]> {
    const isDue = (file: StoredFile) => this.#index.has(file) && file.createdAt <= until && file.pins === 0
    const deleteDue = (unlink: Unlink) =>
      attemptEach(files, file =>
        this.#context.publisher.exclusively(file.sha256, async () => {
          if (isDue(file)) await this.#unlink(file, unlink)
        }),
      )
    return this.#track(this.#directory.removeFrom(directory, deleteDue))
  }

  undoUpload(file: StoredFile): Promise<void> {
    const undone = this.#context.publisher.exclusively(file.sha256, async () => {
      // Counted while no equal file is being published, as that adds a use.
      if (--file.uses === 0 && this.#index.has(file)) await this.#delete(file)
    })
    return this.#track(undone)
  }

  /** Deletes files that the app has written itself and not changed for `age` (ms), and counts the others towards the limits. */
  async sweepUntracked(age: number, report: (error: unknown) => void): Promise<void> {
    if (!this.mayHaveUntracked) return
    const bytes = await this.#directory.sweepUntracked(Date.now() - age, report)
    // `end` releases the bytes that were counted before this sweep.
    if (this.#ending.signal.aborted) return
    this.#context.total.add(bytes - this.#untrackedBytes)
    this.#limits.bytes.add(bytes - this.#untrackedBytes)
    this.#untrackedBytes = bytes
  }

  /** Refuses new files, and aborts running uploads. */
  abort(): void {
    this.#ending.abort(sessionEnded())
  }

  /** Removes the session's directory with its contents. */
  async end(): Promise<void> {
    this.abort()
    await Promise.allSettled(this.#running)
    const { instance, publisher, total } = this.#context
    const files = this.list
    // Before the directory is moved: a sweep wouldn't find the files any more.
    this.#index.clear()
    await instance.discard(this.path)
    total.release(this.#untrackedBytes)
    for (const file of files) {
      const isFreed =
        file.sharing === 'alone' ||
        (await publisher.exclusively(file.sha256, () => publisher.collect(file.sha256)))
      if (isFreed) total.release(chargeOf(file.size))
    }
  }

  async #save(content: Readable | Uint8Array, name: string, isComplete: () => boolean): Promise<StoredFile> {
    const { instance, maxFileSize, publisher } = this.#context
    const reservation = new Reservation(maxFileSize, this.#limits)
    const writer = new FileWriter(join(instance.incoming, uuid()), reservation)
    try {
      await instance.create()
      this.#ending.signal.throwIfAborted()
      const source = content instanceof Readable ? content : readableOf(content)
      const sha256 = await writer.receive(source, this.#ending.signal)
      if (!isComplete()) throw new Error('Expected the whole file, but the upload was truncated.')
      return await publisher.exclusively(sha256, () => this.#publish(writer, sha256, name, reservation))
    } catch (error) {
      // An error of the cleanup would hide the reason of the failure.
      await writer.abandon().catch(() => {})
      reservation.release()
      throw explainDiskFull(error)
    }
  }

  async #publish(
    writer: FileWriter,
    sha256: string,
    name: string,
    reservation: Reservation,
  ): Promise<StoredFile> {
    this.#ending.signal.throwIfAborted()
    const { now, publisher, total } = this.#context
    const duplicate = this.find(sha256, name)
    if (duplicate !== undefined) {
      await writer.abandon()
      reservation.release()
      this.#index.renew(duplicate, now())
      return duplicate
    }
    await writer.close()
    const move = (file: string) => this.#directory.put(file, name)
    const { place, sharing } = await publisher.publish(writer.path, sha256, move)
    const { size } = writer
    if (sharing === 'shared') total.release(chargeOf(size))
    const path = this.#directory.pathOf(place, name)
    const uses = { createdAt: now(), pins: 0, uses: 1 }
    const file = { owner: this, name, sha256, size, path, place, sharing, ...uses }
    this.#index.add(file)
    return file
  }

  async #delete(file: StoredFile): Promise<void> {
    await this.#directory.removeFrom(file.place.directory, unlink => this.#unlink(file, unlink))
  }

  /** Removes a file. The caller has the lock of its content. */
  async #unlink(file: StoredFile, unlink: Unlink): Promise<void> {
    const { publisher, total } = this.#context
    this.#index.hide(file)
    try {
      await unlink(file.name)
      const isFreed = file.sharing === 'alone' || (await publisher.collect(file.sha256))
      if (isFreed) total.release(chargeOf(file.size))
    } catch (error) {
      this.#index.restore(file)
      throw error
    }
    this.#index.delete(file)
    this.#directory.release(file.place)
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
  return new GradioStateError(
    'SESSION_ENDED',
    'Expected a session that has not ended, got one that has ended.',
  )
}
