import type { Aging } from './age-queue.js'
import type { OpenFile } from './open-file.js'
import type { SharedBytes } from './publisher.js'
import type { Readers } from './readers.js'
import type { Place } from './saved-directories.js'

/** The record of a file that a session has saved. The app may change the file: `DiskCheck` compares the record with the disk. */
export interface StoredFile extends Aging {
  /** The files of the session that it belongs to. */
  readonly owner: FileOwner
  readonly name: string
  readonly path: string
  readonly place: Place
  /** The content, as of the last comparison. */
  readonly sha256: string
  readonly size: number
  /** See `versionOf`. */
  readonly version: string
  /** The hashes of all that the file has contained, the current one last: URLs with any of them lead to the file. */
  readonly hashes: readonly string[]
  /** The bytes that it shares with files of other sessions; `undefined` if it has its own. */
  shared: SharedBytes | undefined
  /** On the monotonic clock, not the mtime, which hard links share. Reset when the same file is saved again. */
  createdAt: number
  /** The number of pins and running downloads. A sweep keeps the file until it is 0. */
  pins: number
  /** The downloads that read it, unless it shares its bytes. */
  readers: Readers
  /** The number of uploads with these bytes and this name. If one of them is undone, the file stays for the others. */
  uses: number
}

/** A saved file that is open for reading. It has to be closed. */
export interface OpenStoredFile extends OpenFile {
  readonly name: string
  /** `undefined` if the app is writing to the file. */
  readonly sha256: string | undefined
  /** Closes it. Until then, its bytes count towards `maxCacheBytes`, even if it is deleted. */
  close(): Promise<void>
}

/** The operations of a session on its files. */
export interface FileOwner {
  /** Undoes one upload of a file. The file is deleted when no upload of it remains. */
  undoUpload(file: StoredFile): Promise<void>
  /**
   * Deletes those `files`, all in one `saved` directory, that were created at `until` or before and are not pinned. This is
   * checked for each file immediately before it is deleted.
   * @returns the errors
   */
  deleteAged(directory: number, files: readonly StoredFile[], until: number): Promise<unknown[]>
}
