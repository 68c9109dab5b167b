import type { Aging } from './age-queue.js'
import type { Sharing } from './publisher.js'
import type { Place } from './saved-directories.js'

/** The record of a file that a session has saved. */
export interface StoredFile extends Aging {
  /** The session that has it. */
  readonly owner: FileOwner
  readonly name: string
  readonly sha256: string
  readonly size: number
  readonly path: string
  readonly place: Place
  readonly sharing: Sharing
  /** On the monotonic clock: hard links share the times of the file system. Saving the same file again makes it young. */
  createdAt: number
  /** How many prevent it from being swept: pins of the app, and downloads. */
  pins: number
  /** How many uploads gave these bytes this name: taking one of them back must not take the others'. */
  uses: number
}

/** What a session does with a file of its own. */
export interface FileOwner {
  /** Whether a file is where it was put, and no link is in its path. */
  isThere(file: StoredFile): Promise<boolean>
  /** Takes one upload back: the file is deleted with the last that gave these bytes this name. */
  takeBack(file: StoredFile): Promise<void>
  /**
   * Deletes those files of one directory that were created at `until` or before, unless they are deleted, pinned or saved
   * again meanwhile.
   * @returns what failed
   */
  deleteAged(directory: number, files: readonly StoredFile[], until: number): Promise<unknown[]>
}
