import type { CachedFile } from '../files/cached-file.js'
import type { FileData } from '../files/file-data.js'
import type { SessionValues } from '../sessions/session-values.js'

/** A file of the session, by what tells it from others. */
export type FileReference = Pick<CachedFile, 'sha256' | 'name'>

/** Keeps a file from being swept until it is released, by hand or by `using`. */
export interface Pin extends Disposable {
  release(): void
}

/** The files of one session. */
export interface SessionFileMethods {
  /**
   * The session's own directory, for files that the app writes by itself. They are found by the sweep, counted when they
   * are found, and go when the session ends.
   */
  directory(): Promise<string>
  /**
   * Stores a file in the cache. The same bytes under the same name are stored once.
   * @param data bytes, a string as text, a stream, a Blob; a file on the disk as `{ path }`
   * @param options `name`: what browsers are told; made safe. Default: the data's own name, else `file`
   * @throws GradioStateError `FILE_TOO_LARGE`, `SESSION_FULL`, `CACHE_FULL` (413), `DISK_FULL` (507); nothing is left then
   */
  saveFile(data: FileData, options?: { name?: string }): Promise<CachedFile>
  /** The files that were saved or uploaded and not yet deleted. */
  files(): CachedFile[]
  /** @throws GradioStateError `FILE_UNKNOWN` */
  pin(file: FileReference): Pin
  /**
   * Moves a file out of the cache to `destination`, to keep it; gives its absolute path. Nothing may be there yet.
   * @throws GradioStateError `FILE_UNKNOWN`
   */
  adopt(file: FileReference, destination: string): Promise<string>
}

/** Values and files of one session: what `gradio.session(id)` gives, and what `req.gradioState` is too. */
export interface SessionState extends SessionValues, SessionFileMethods {}
