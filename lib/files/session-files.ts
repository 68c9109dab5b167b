import { setMaxListeners } from 'node:events'
import { join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { GradioStateError } from '../errors.js'
import { attemptEach } from './disk.js'
import { DiskCheck } from './disk-check.js'
import { FileIndex, unknownFile } from './file-index.js'
import { FileSaver, type FilesContext } from './file-saver.js'
import { safeName } from './names.js'
import { SessionDirectory, type Unlink } from './session-directory.js'
import { SessionLimits } from './session-limits.js'
import type { FileOwner, OpenStoredFile, StoredFile } from './stored-file.js'

/** The files of one session or scope. Nothing is created on the disk before the first file. */
export class SessionFiles implements FileOwner {
  readonly #directory: SessionDirectory
  readonly #context: FilesContext
  /** The limits on these files. */
  readonly space: SessionLimits
  readonly #index: FileIndex
  readonly #check: DiskCheck
  readonly #saver: FileSaver
  /** Running writes and removals. `end` waits for them. */
  readonly #running = new Set<Promise<unknown>>()
  readonly #ending = new AbortController()
  /** The bytes of the files that the app has written itself, as they were last counted. */
  #untrackedBytes = 0
  /** Whether the app may have written files itself: it has requested the path of the directory, or has moved a file. */
  #hasUntracked = false

  /** @param parent the files of the session that the scope belongs to */
  constructor(context: FilesContext, id: string, parent?: SessionFiles) {
    this.#context = context
    this.#directory = new SessionDirectory(join(context.instance.path, id), context.instance.access)
    this.space = new SessionLimits(context, id, parent?.space)
    this.space.add(this)
    const { limits } = this.space
    this.#index = new FileIndex(id, context, limits)
    this.#check = new DiskCheck({
      directory: this.#directory,
      index: this.#index,
      publisher: context.publisher,
      limits,
      onGone: () => {
        this.#hasUntracked = true
      },
    })
    this.#saver = new FileSaver({
      ...context,
      owner: this,
      directory: this.#directory,
      index: this.#index,
      check: this.#check,
      limits,
      session: this.space.session,
      signal: this.#ending.signal,
      recount: () => this.space.recount.run(),
    })
    // Each running upload adds a listener. Node.js would warn of a leak at the eleventh.
    setMaxListeners(Number.POSITIVE_INFINITY, this.#ending.signal)
  }

  get path(): string {
    return this.#directory.path
  }

  /** The files as they are on the disk now. */
  async list(): Promise<StoredFile[]> {
    await this.#track(this.#check.checkAll())
    return this.#index.list
  }

  /** The number of files, as of the last comparison with the disk. */
  get count(): number {
    return this.#index.count
  }

  /** The records of the files, as of the last comparison with the disk. */
  get records(): readonly StoredFile[] {
    return this.#index.list
  }

  /** Whether the app may have written files into the directory itself. */
  get mayHaveUntracked(): boolean {
    return this.#hasUntracked && !this.#ending.signal.aborted
  }

  /** The bytes that count towards `maxSessionBytes`: stored files, files being written, and files that a sweep has found. */
  get bytes(): number {
    return this.space.limits.bytes.used
  }

  /** Finds a file, if it exists on the disk. If the app has changed it, it is also found by what it contained before. */
  async find(sha256: string, name: string): Promise<StoredFile | undefined> {
    for (;;) {
      const file = this.#index.find(sha256, name)
      if (file === undefined || (await this.#track(this.#check.check(file)))) return file
    }
  }

  /** Opens a file for reading, and pins it. To release it, close it and decrement the `pins` of its record. */
  async open(sha256: string, name: string): Promise<PinnedFile | undefined> {
    for (;;) {
      const record = this.#index.find(sha256, name)
      if (record === undefined) return undefined
      const file = await this.#whilePinned(record, () => this.#check.open(record))
      if (file !== undefined) return { file, record }
    }
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
    return this.#run(() => this.#saver.save(content, safeName(name), isComplete))
  }

  /** Creates the directory for files that the app writes itself. @returns its path */
  directory(): Promise<string> {
    return this.#run(async () => {
      const { instance } = this.#context
      await instance.create()
      const path = await instance.withRepair(() => this.#directory.createForApp())
      this.#hasUntracked = true
      return path
    })
  }

  /** Protects a file from sweeps. To release it, decrement its `pins`. @throws GradioStateError `FILE_UNKNOWN` */
  async pin(sha256: string, name: string): Promise<StoredFile> {
    for (;;) {
      const file = this.#index.find(sha256, name)
      if (file === undefined) throw unknownFile(name)
      if (await this.#whilePinned(file, () => this.#check.check(file))) return file
    }
  }

  /** Moves a file out of the cache. @returns the absolute path */
  adopt(sha256: string, name: string, destination: string): Promise<string> {
    return this.#run(async () => {
      const path = resolve(destination)
      const isAdopted = await this.#withFile(sha256, name, async file => {
        // Files that may share their bytes are copied: editing a link in place would change the files of other sessions.
        const isLinkable = !this.#context.publisher.isSharing
        if (await this.#directory.copyOut(file, path, isLinkable)) return this.#delete(file).then(() => true)
        await this.#check.checkLocked(file)
        return false
      })
      if (isAdopted !== true) throw unknownFile(name)
      return path
    })
  }

  /** Deletes a file. @returns whether there was one */
  delete(sha256: string, name: string): Promise<boolean> {
    return this.#run(async () => (await this.#withFile(sha256, name, file => this.#delete(file))) ?? false)
  }

  deleteAged(directory: number, files: readonly StoredFile[], until: number): Promise<unknown[]> {
    const isDue = (file: StoredFile) => this.#index.has(file) && file.createdAt <= until && file.pins === 0
    const deleteDue = (unlink: Unlink) =>
      attemptEach(files, file =>
        this.#context.publisher.exclusively(file, async () => {
          if (isDue(file)) await this.#unlink(file, unlink)
        }),
      )
    return this.#track(this.#directory.removeFrom(directory, deleteDue))
  }

  undoUpload(file: StoredFile): Promise<void> {
    const undone = this.#context.publisher.exclusively(file, async () => {
      // Counted while no equal file is being published, as that adds a use.
      if (--file.uses === 0 && this.#index.has(file)) await this.#delete(file)
    })
    return this.#track(undone)
  }

  /** Deletes files that the app has written itself and not changed for `age` (ms), and counts the others towards the limits. */
  async sweepUntracked(age: number, report: (error: unknown) => void): Promise<void> {
    if (!this.mayHaveUntracked) return
    this.#countUntracked(await this.#directory.sweepUntracked(this.#context.now(), age, report))
  }

  /** Compares all files with the disk, so that the space of those that the app has removed is available. */
  async compare(): Promise<void> {
    await this.#track(this.#check.checkAll())
    if (!this.mayHaveUntracked) return
    this.#countUntracked(await this.#track(this.#directory.countUntracked()))
  }

  /** Refuses new files, and aborts running uploads. */
  abort(): void {
    this.#ending.abort(sessionEnded())
  }

  /** Removes the session's directory with its contents. */
  async end(): Promise<void> {
    this.abort()
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
    const { instance, publisher, total } = this.#context
    const files = this.#index.list
    // Before the directory is moved: a sweep wouldn't find the files any more.
    this.#index.clear()
    await instance.discard(this.path)
    this.space.end(this)
    total.release(this.#untrackedBytes)
    for (const file of files) await publisher.exclusively(file, () => this.#check.uncount(file))
  }

  /** Runs `task` with the lock of a file's content. Resolves with `undefined` if there is no such file. */
  async #withFile<T>(
    sha256: string,
    name: string,
    task: (file: StoredFile) => Promise<T>,
  ): Promise<T | undefined> {
    for (;;) {
      const file = this.#index.find(sha256, name)
      if (file === undefined) return undefined
      const done = await this.#context.publisher.exclusively(file, async () =>
        this.#index.has(file) ? { result: await task(file) } : undefined,
      )
      if (done !== undefined) return done.result
    }
  }

  #delete(file: StoredFile): Promise<boolean> {
    return this.#directory.removeFrom(file.place.directory, unlink => this.#unlink(file, unlink))
  }

  /** Removes a file. The caller has the lock of its content. @returns whether it was there */
  async #unlink(file: StoredFile, unlink: Unlink): Promise<boolean> {
    this.#index.hide(file)
    let isRemoved = false
    try {
      isRemoved = await unlink(file.name)
      await this.#check.uncount(file)
    } catch (error) {
      this.#index.restore(file)
      throw error
    }
    if (!isRemoved) this.#hasUntracked = true
    this.#index.delete(file)
    this.#directory.release(file.place)
    return isRemoved
  }

  #countUntracked(bytes: number): void {
    // `end` releases the bytes that were counted before.
    if (this.#ending.signal.aborted) return
    this.#context.total.add(bytes - this.#untrackedBytes)
    this.space.limits.bytes.add(bytes - this.#untrackedBytes)
    this.#untrackedBytes = bytes
  }

  /** Pins a file while `task` runs, and leaves it pinned unless the result is falsy. */
  async #whilePinned<T>(file: StoredFile, task: () => Promise<T>): Promise<T> {
    file.pins++
    let result: T | undefined
    try {
      result = await this.#track(task())
      return result
    } finally {
      if (!result) file.pins--
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
}

/** A file that is open, and its record, which is pinned. */
export interface PinnedFile {
  readonly file: OpenStoredFile
  readonly record: StoredFile
}

function sessionEnded(): GradioStateError {
  return new GradioStateError(
    'SESSION_ENDED',
    'Expected a session that has not ended, got one that has ended.',
  )
}
