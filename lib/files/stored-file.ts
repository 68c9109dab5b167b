import type { Aging } from './age-queue.js'
import type { Sharing } from './publisher.js'

/** A file of one session. */
export class StoredFile implements Aging {
  readonly name: string
  readonly sha256: string
  readonly size: number
  readonly path: string
  /** On the monotonic clock: hard links share the times of the file system. Who saves the same anew makes it young. */
  createdAt: number
  readonly sharing: Sharing
  /** Who counts on it not being swept. */
  pins = 0
  /** How many uploads gave these bytes this name: taking one of them back must not take the others'. */
  uses = 1

  constructor(name: string, sha256: string, size: number, path: string, createdAt: number, sharing: Sharing) {
    this.name = name
    this.sha256 = sha256
    this.size = size
    this.path = path
    this.createdAt = createdAt
    this.sharing = sharing
  }

  get isPinned(): boolean {
    return this.pins > 0
  }
}
