import type { Aging } from './age-queue.js'
import type { Sharing } from './publisher.js'
import type { Place } from './saved-directories.js'

/** The record of a file that a session has saved. */
export interface StoredFile extends Aging {
  /** The files of the session that it belongs to. */
  readonly owner: FileOwner
  readonly name: string
  readonly sha256: string
  readonly size: number
  readonly path: string
  readonly place: Place
  readonly sharing: Sharing
  /** On the monotonic clock, not the mtime, which hard links share. Reset when the same file is saved again. */
  createdAt: number
  /** The number of pins and running downloads. A sweep keeps the file until it is 0. */
  pins: number
  /** The number of uploads with these bytes and this name. If one of them is undone, the file stays for the others. */
  uses: number
}

/** The operations of a session on its files. */
export interface FileOwner {
  /** Whether a file is still at its place, and no part of its path in the session's directory is a link. */
  isThere(file: StoredFile): Promise<boolean>
  /** Undoes one upload of a file. The file is deleted when no upload of it remains. */
  undoUpload(file: StoredFile): Promise<void>
  /**
   * Deletes those `files`, all in one `saved` directory, that were created at `until` or before and are not pinned. This is
   * checked for each file immediately before it is deleted.
   * @returns the errors
   */
  deleteAged(directory: number, files: readonly StoredFile[], until: number): Promise<unknown[]>
}
