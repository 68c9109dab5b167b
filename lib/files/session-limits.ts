import type { FilesContext } from './file-saver.js'
import { type FileLimits, Quota } from './quota.js'
import { Recount } from './recount.js'
import { RunningUploads } from './running-uploads.js'

/** Files that are compared with the disk before one more is refused. */
interface ComparedFiles {
  compare(): Promise<void>
}

/** The limits on the files of one session. Those of its scopes count towards them, too. */
export class SessionLimits {
  readonly limits: FileLimits
  /** The id of the session, even for the files of a scope. */
  readonly session: string
  /** The files of the session and its scopes. */
  readonly compared: Set<ComparedFiles>
  /** Compares all of them, so that the space of those that the app has removed is available. */
  readonly recount: Recount
  readonly uploads = new RunningUploads()

  /** @param parent the limits of the session that the scope belongs to */
  constructor(context: FilesContext, id: string, parent?: SessionLimits) {
    const { maxSessionFiles, maxSessionBytes, total } = context
    const { files, bytes } = parent?.limits ?? {}
    this.limits = {
      files: new Quota(maxSessionFiles, 'SESSION_FULL', 'maxSessionFiles', 'files', files),
      bytes: new Quota(maxSessionBytes, 'SESSION_FULL', 'maxSessionBytes', 'bytes', bytes),
      total,
    }
    this.session = parent?.session ?? id
    const compared = parent?.compared ?? new Set<ComparedFiles>()
    this.compared = compared
    this.recount =
      parent?.recount ??
      new Recount(context, async () => {
        for (const files of compared) await files.compare()
      })
  }

  add(files: ComparedFiles): void {
    this.compared.add(files)
  }

  /** The session or scope has ended, and its files were removed. */
  end(files: ComparedFiles): void {
    this.compared.delete(files)
    this.limits.files.clear()
    this.limits.bytes.clear()
  }
}
