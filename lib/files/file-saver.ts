import { join } from 'node:path'
import { Readable } from 'node:stream'
import { v4 as uuid } from 'uuid'
import type { GradioStateError } from '../errors.js'
import type { AgeQueue } from './age-queue.js'
import { explainDiskFull } from './disk.js'
import type { DiskCheck } from './disk-check.js'
import type { FileIndex } from './file-index.js'
import type { InstanceDirectory } from './instance-directory.js'
import type { Publisher } from './publisher.js'
import { chargeOf, type FileLimits, type Quota, Reservation } from './quota.js'
import type { SessionDirectory } from './session-directory.js'
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
  /** Calls {@link SessionFiles.recount} for all sessions. */
  recountAll(): Promise<void>
  /** Milliseconds on the monotonic clock. */
  now(): number
}

/** What {@link FileSaver} uses of a session's files. */
export interface SaverContext extends FilesContext {
  readonly owner: FileOwner
  readonly directory: SessionDirectory
  readonly index: FileIndex
  readonly check: DiskCheck
  readonly limits: FileLimits
  /** Aborts when the session ends. */
  readonly signal: AbortSignal
  /** Compares the session's files with the disk, so that the space of those that the app has removed is available. */
  recount(): Promise<void>
}

/** Saves the files of one session: receives, publishes and records them. */
export class FileSaver {
  readonly #context: SaverContext

  constructor(context: SaverContext) {
    this.#context = context
  }

  /** @param name a safe name */
  async save(content: Readable | Uint8Array, name: string, isComplete: () => boolean): Promise<StoredFile> {
    const { instance, publisher, signal } = this.#context
    const makeRoom = (error: unknown) => this.#makeRoom(error)
    const reservation = await this.#reserve()
    const writer = new FileWriter(join(instance.incoming, uuid()), reservation, makeRoom, task =>
      instance.withRepair(task),
    )
    try {
      await instance.create()
      signal.throwIfAborted()
      const source = content instanceof Readable ? content : readableOf(content)
      const sha256 = await writer.receive(source, signal)
      if (!isComplete()) throw new Error('Expected the whole file, but the upload was truncated.')
      return await publisher.exclusively({ sha256 }, () => this.#publish(writer, sha256, name, reservation))
    } catch (error) {
      // An error of the cleanup would hide the reason of the failure.
      await writer.abandon().catch(() => {})
      reservation.release()
      throw explainDiskFull(error)
    }
  }

  async #reserve(): Promise<Reservation> {
    const { maxFileSize, limits } = this.#context
    try {
      return new Reservation(maxFileSize, limits)
    } catch (error) {
      await this.#makeRoom(error)
      return new Reservation(maxFileSize, limits)
    }
  }

  /** Called when a file exceeds a limit: the app may have removed files that are still counted. @throws the error of other limits */
  async #makeRoom(error: unknown): Promise<void> {
    const { code } = error as Partial<GradioStateError>
    if (code === 'SESSION_FULL') await this.#context.recount()
    else if (code === 'CACHE_FULL') await this.#context.recountAll()
    else throw error
  }

  async #publish(
    writer: FileWriter,
    sha256: string,
    name: string,
    reservation: Reservation,
  ): Promise<StoredFile> {
    const { directory, index, limits, now, owner, publisher, signal } = this.#context
    signal.throwIfAborted()
    const duplicate = await this.#findDuplicate(sha256, name)
    if (duplicate !== undefined) {
      await writer.abandon()
      reservation.release()
      index.renew(duplicate, now())
      return duplicate
    }
    const complete = { path: writer.path, sha256, size: writer.size, version: await writer.close() }
    const published = await publisher.publish(complete, file => directory.put(file, name))
    const { place, shared } = published
    // Its bytes are counted already.
    if (shared !== undefined && shared.uses > 1) limits.total.release(chargeOf(complete.size))
    const path = directory.pathOf(place, name)
    const uses = { createdAt: now(), pins: 0, uses: 1 }
    const file = { ...complete, ...published, ...uses, owner, name, path, hashes: [sha256] }
    index.add(file)
    return file
  }

  /** The file with these bytes and this name, if the app hasn't changed or removed it. The caller has the lock of the content. */
  async #findDuplicate(sha256: string, name: string): Promise<StoredFile | undefined> {
    const { check, index } = this.#context
    for (;;) {
      const file = index.findSame(sha256, name)
      if (file === undefined) return undefined
      if ((await check.checkLocked(file)) && file.sha256 === sha256) return file
    }
  }
}
