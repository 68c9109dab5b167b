import type { AgeQueue } from './age-queue.js'
import type { InstanceFolder } from './folder.js'
import type { Quota } from './quota.js'
import type { OwnedFile } from './session-files.js'
import type { Store } from './store.js'

/** What the files of all sessions share. */
export interface FilesContext {
  readonly folder: InstanceFolder
  readonly store: Store
  readonly ages: AgeQueue<OwnedFile>
  /** The bytes of the whole cache. */
  readonly total: Quota
  readonly maxFileSize: number
  readonly maxSessionBytes: number
  /** Milliseconds, monotonic. */
  now(): number
}
