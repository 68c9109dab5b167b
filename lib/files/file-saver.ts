import { join } from 'node:path'
import { Readable } from 'node:stream'
import { v4 as uuid } from 'uuid'
import type { GradioStateError } from '../errors.js'
import type { Events } from '../events.js'
import type { AgeQueue } from './age-queue.js'
import type { CacheSpace } from './cache-space.js'
import { explainDiskFull } from './disk.js'
import type { DiskCheck } from './disk-check.js'
import type { FileIndex } from './file-index.js'
import type { InstanceDirectory } from './instance-directory.js'
import type { Publisher } from './publisher.js'
import { chargeOf, chargeOfPlace, type FileLimits, MIN_CHARGE, type Quota, Reservation } from './quota.js'
import { Readers } from './readers.js'
import type { RecountClock } from './recount.js'
import type { SessionDirectory } from './session-directory.js'
import { readableOf } from './sources.js'
import type { FileOwner, StoredFile } from './stored-file.js'
import { FileWriter } from './writer.js'

/** Shared by the files of all sessions. */
export interface FilesContext extends RecountClock {
  readonly events: Events
  readonly instance: InstanceDirectory
  readonly publisher: Publisher
  readonly ages: AgeQueue<StoredFile>
  /** The bytes of all files of the instance. */
  readonly total: Quota
  readonly maxFileSize: number
  readonly maxSessionBytes: number
  readonly maxSessionFiles: number
  readonly space: CacheSpace
}

/** What {@link FileSaver} uses of a session's files. */
export interface SaverContext extends FilesContext {
  /** The id of the session, even for the files of a scope. */
  readonly session: string
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
    const { instance, limits, maxFileSize, publisher, signal } = this.#context
    const reservation = await this.#reserve(() => new Reservation(maxFileSize, limits))
    const writer = new FileWriter(join(instance.incoming, uuid()), {
      reserve: bytes => reservation.add(bytes),
      reserveLater: bytes => this.#reserve(() => reservation.add(bytes), bytes),
      withRepair: task => instance.withRepair(task),
    })
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

  /** Reserves what a file takes. If that exceeds a limit, makes room first. @throws GradioStateError if there is none */
  async #reserve<T>(reserve: () => T, bytes = MIN_CHARGE): Promise<T> {
    const { session, space, recount } = this.#context
    // The app may have removed files that are still counted.
    const comparisons = { SESSION_FULL: recount, CACHE_FULL: () => space.recount() }
    for (const compared = new Set<string>(); ; ) {
      try {
        return reserve()
      } catch (error) {
        const { code } = error as GradioStateError
        if (code === 'CACHE_FULL' && (await space.evict(bytes, session))) continue
        if ((code !== 'SESSION_FULL' && code !== 'CACHE_FULL') || compared.has(code)) throw error
        compared.add(code)
        await comparisons[code]()
      }
    }
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
    // Never refused, but the next file is. Making room here could wait for a session that waits for the lock of this content.
    limits.bytes.add(chargeOfPlace(place))
    limits.total.add(chargeOfPlace(place))
    const path = directory.pathOf(place, name)
    const uses = { createdAt: now(), pins: 0, readers: new Readers(), uses: 1 }
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
