import type { ServerResponse } from 'node:http'

// Public types of the files of a session.

/** The files of one session. */
export interface SessionFileMethods {
  /**
   * A directory of the session, for files that the app writes itself. Saved files can't be reached through it. The sweep includes them,
   * they count towards the limits once the sweep has found them, and they are deleted when the session ends.
   */
  directory(): Promise<string>
  /**
   * Stores a file in the cache. The same bytes under the same name are stored once.
   * @param data bytes, a string as text, a stream, a Blob; a file on the disk as `{ path }`
   * @param options `name`: the name for browsers, which is sanitized. Default: the data's own name, else `file`
   * @throws GradioStateError `FILE_TOO_LARGE`, `SESSION_FULL` (413), `CACHE_FULL`, `DISK_FULL` (507); then nothing is stored
   */
  saveFile(data: FileData, options?: { name?: string }): Promise<CachedFile>
  /**
   * The files that were saved or uploaded, as they are on the disk now: without those that were deleted, by the library or by the app,
   * and with the hash, size and URL that a file has after the app has changed it.
   */
  files(): Promise<CachedFile[]>
  /**
   * The file with this hash and name, as it is on the disk now. If the app has changed it since, both its old and its new hash identify
   * it. `undefined` if it doesn't exist.
   */
  file(file: FileReference): Promise<CachedFile | undefined>
  /** Deletes a file, even if it is pinned. Resolves with `false` if it didn't exist. */
  deleteFile(file: FileReference): Promise<boolean>
  /**
   * Sends a file as a response, with the headers, ranges and conditional requests of the library's file route. Resolves when the
   * response is over, even if the browser has aborted it. In Koa, set `ctx.status = 200` and `ctx.respond = false` before.
   * @throws GradioStateError `FILE_UNKNOWN`; then nothing was sent
   */
  sendFile(file: FileReference, res: ServerResponse): Promise<void>
  /** Protects a file from the sweep. @throws GradioStateError `FILE_UNKNOWN` */
  pin(file: FileReference): Promise<Pin>
  /**
   * Moves a file out of the cache to `destination`, which must not exist. Resolves with its absolute path.
   * @throws GradioStateError `FILE_UNKNOWN`
   */
  adopt(file: FileReference, destination: string): Promise<string>
}

/** A file in the cache. */
export interface CachedFile {
  /** The path at which its own user's browser can load it. */
  readonly url: string
  readonly path: string
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** The SHA-256 of the content, in hex. */
  readonly sha256: string
  /** Derived from the file name extension, since the type that a browser sends with an upload can't be trusted. */
  readonly mimeType: string
}

/** A file that a request has uploaded. */
export interface UploadedFile extends CachedFile {
  /** The name of the form field. */
  readonly field: string
}

/** Identifies a file of the session. */
export type FileReference = Pick<CachedFile, 'sha256' | 'name'>

/** Excludes a file from the sweep until it is released, explicitly or by `using`. */
export interface Pin extends Disposable {
  release(): void
}

/**
 * The data of a file: bytes, a string as text, a stream, a Blob. A file on the disk only as `{ path }`: a string is never interpreted as a
 * path, since it may come from a user.
 */
export type FileData =
  | string
  | ArrayBuffer
  | Uint8Array
  | Blob
  | AsyncIterable<string | Uint8Array>
  | ReadableStream<Uint8Array>
  | { readonly path: string }
