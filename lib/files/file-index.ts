import { GradioStateError, show } from '../errors.js'
import type { Events } from '../events.js'
import type { AgeQueue } from './age-queue.js'
import { chargeOf, chargeOfPlace, type FileLimits } from './quota.js'
import type { StoredFile } from './stored-file.js'

/** What a file contains. */
export type Content = Pick<StoredFile, 'sha256' | 'size' | 'version'>

/** What all indexes of an instance share. */
interface IndexContext {
  readonly ages: AgeQueue<StoredFile>
  readonly events: Events
}

/** The files of one session, by content and name. Each counts towards the session's limits. */
export class FileIndex {
  readonly #files = new Set<StoredFile>()
  /** The files that have each content and name, or had it before the app changed them. */
  readonly #byKey = new Map<string, StoredFile[]>()
  readonly #session: string
  readonly #ages: AgeQueue<StoredFile>
  readonly #events: Events
  readonly #limits: FileLimits

  /** @param session the id of the session */
  constructor(session: string, { ages, events }: IndexContext, limits: FileLimits) {
    this.#session = session
    this.#ages = ages
    this.#events = events
    this.#limits = limits
  }

  get list(): StoredFile[] {
    return [...this.#files]
  }

  get count(): number {
    return this.#files.size
  }

  /** The file with this content and name. If there is none, one that had this content before the app changed it. */
  find(sha256: string, name: string): StoredFile | undefined {
    return this.findSame(sha256, name) ?? this.#byKey.get(keyOf(sha256, name))?.[0]
  }

  /** The file with this content and name, according to its record. */
  findSame(sha256: string, name: string): StoredFile | undefined {
    return this.#byKey.get(keyOf(sha256, name))?.find(file => file.sha256 === sha256)
  }

  /** Whether this file is still in the index. */
  has(file: StoredFile): boolean {
    return this.#files.has(file)
  }

  /** Adds a file. Its {@link Reservation} has already counted it. */
  add(file: StoredFile): void {
    this.#insert(file)
    this.#ages.add(file)
    this.#events.fileSaved(this.#session, file)
  }

  /** Called when the same bytes were saved again under the same name. */
  renew(file: StoredFile, now: number): void {
    file.uses++
    file.createdAt = now
    this.#ages.delete(file)
    this.#ages.add(file)
  }

  /** Called when the content of a file was found to have changed. The file is still found by what it contained before. */
  change(file: StoredFile, content: Content): void {
    this.#limits.bytes.add(chargeOf(content.size) - chargeOf(file.size))
    this.#remove(file)
    const former = file.hashes.filter(hash => hash !== content.sha256)
    // The first one, with which the file was saved, is kept.
    if (former.length >= MAX_HASHES) former.splice(1, 1)
    Object.assign(file, content, { hashes: [...former, content.sha256] })
    this.#insert(file)
  }

  /**
   * Hides a file that is about to be removed from the disk. The caller then calls `delete` if it was removed, or `restore` if
   * that failed.
   */
  hide(file: StoredFile): void {
    this.#remove(file)
    this.#limits.files.release(1)
    this.#limits.bytes.release(chargeOf(file.size) + chargeOfPlace(file.place))
  }

  delete(file: StoredFile): void {
    this.#ages.delete(file)
    this.#events.fileDeleted(this.#session, file)
  }

  restore(file: StoredFile): void {
    this.#insert(file)
    this.#limits.files.add(1)
    this.#limits.bytes.add(chargeOf(file.size) + chargeOfPlace(file.place))
  }

  /** Removes all files from the index, when the session ends. */
  clear(): void {
    const files = [...this.#files]
    this.#files.clear()
    this.#byKey.clear()
    for (const file of files) this.delete(file)
  }

  #insert(file: StoredFile): void {
    this.#files.add(file)
    for (const hash of file.hashes) {
      const key = keyOf(hash, file.name)
      const others = this.#byKey.get(key)
      if (others === undefined) this.#byKey.set(key, [file])
      else others.push(file)
    }
  }

  #remove(file: StoredFile): void {
    this.#files.delete(file)
    for (const hash of file.hashes) {
      const key = keyOf(hash, file.name)
      const others = this.#byKey.get(key)?.filter(other => other !== file) ?? []
      if (others.length > 0) this.#byKey.set(key, others)
      else this.#byKey.delete(key)
    }
  }
}

/** How many contents a file can be found by. This bounds the memory for a file that changes all the time. */
const MAX_HASHES = 10

export function unknownFile(name: string): GradioStateError {
  return new GradioStateError(
    'FILE_UNKNOWN',
    `Expected a file of this session, got ${show(name)}, which doesn't exist or was deleted.`,
  )
}

function keyOf(sha256: string, name: string): string {
  return `${sha256}/${name}`
}
