import { GradioStateError, show } from '../errors.js'
import type { AgeQueue } from './age-queue.js'
import { chargeOf, type FileLimits } from './quota.js'
import type { StoredFile } from './stored-file.js'

/** The files that one session has, by content and name. Each counts against the session's limits. */
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

  /** Whether it is this very file, and not one that was saved in its place since. */
  has(file: StoredFile): boolean {
    return this.find(file.sha256, file.name) === file
  }

  /** It was counted when it was reserved. */
  add(file: StoredFile): void {
    this.#files.set(keyOf(file.sha256, file.name), file)
    this.#ages.add(file)
  }

  /** The same bytes were saved again under the same name. */
  renew(file: StoredFile, now: number): void {
    file.uses++
    file.createdAt = now
    this.#ages.delete(file)
    this.#ages.add(file)
  }

  /**
   * The file is about to be removed: nobody finds it any more. Followed by `delete` when it is gone, or by `restore` when it
   * couldn't be removed.
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

  /** Forgets all of them, at the session's end. */
  clear(): void {
    for (const file of this.#files.values()) this.#ages.delete(file)
    this.#files.clear()
  }
}

export function unknownFile(name: string): GradioStateError {
  return new GradioStateError(
    'FILE_UNKNOWN',
    `Expected a file of this session, got ${show(name)}, which isn't or was deleted.`,
  )
}

function keyOf(sha256: string, name: string): string {
  return `${sha256}/${name}`
}
