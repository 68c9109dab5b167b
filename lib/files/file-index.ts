import { GradioStateError, show } from '../errors.js'
import type { AgeQueue } from './age-queue.js'
import { chargeOf, type FileLimits } from './quota.js'
import type { StoredFile } from './stored-file.js'

/** The files of one session, by content and name. Each counts towards the session's limits. */
export class FileIndex {
  readonly #files = new Map<string, StoredFile>()
  readonly #ages: AgeQueue<StoredFile>
  readonly #limits: FileLimits

  constructor(ages: AgeQueue<StoredFile>, limits: FileLimits) {
    this.#ages = ages
    this.#limits = limits
  }

  get list(): StoredFile[] {
    return [...this.#files.values()]
  }

  get count(): number {
    return this.#files.size
  }

  find(sha256: string, name: string): StoredFile | undefined {
    return this.#files.get(keyOf(sha256, name))
  }

  /** @throws GradioStateError `FILE_UNKNOWN` */
  get(sha256: string, name: string): StoredFile {
    const file = this.find(sha256, name)
    if (file !== undefined) return file
    throw unknownFile(name)
  }

  /** Whether this file is still in the index. Not true for a later file with the same content and name. */
  has(file: StoredFile): boolean {
    return this.find(file.sha256, file.name) === file
  }

  /** Adds a file. Its {@link Reservation} has already counted it. */
  add(file: StoredFile): void {
    this.#files.set(keyOf(file.sha256, file.name), file)
    this.#ages.add(file)
  }

  /** Called when the same bytes were saved again under the same name. */
  renew(file: StoredFile, now: number): void {
    file.uses++
    file.createdAt = now
    this.#ages.delete(file)
    this.#ages.add(file)
  }

  /**
   * Hides a file that is about to be removed from the disk. The caller then calls `delete` if it was removed, or `restore` if
   * that failed.
   */
  hide(file: StoredFile): void {
    this.#files.delete(keyOf(file.sha256, file.name))
    this.#limits.files.release(1)
    this.#limits.bytes.release(chargeOf(file.size))
  }

  delete(file: StoredFile): void {
    this.#ages.delete(file)
  }

  restore(file: StoredFile): void {
    this.#files.set(keyOf(file.sha256, file.name), file)
    this.#limits.files.add(1)
    this.#limits.bytes.add(chargeOf(file.size))
  }

  /** Removes all files from the index, when the session ends. */
  clear(): void {
    for (const file of this.#files.values()) this.#ages.delete(file)
    this.#files.clear()
  }
}

export function unknownFile(name: string): GradioStateError {
  return new GradioStateError(
    'FILE_UNKNOWN',
    `Expected a file of this session, got ${show(name)}, which doesn't exist or was deleted.`,
  )
}

function keyOf(sha256: string, name: string): string {
  return `${sha256}/${name}`
}
