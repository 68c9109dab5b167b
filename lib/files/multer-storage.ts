import type { IncomingMessage } from 'node:http'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import type { SessionFiles } from './session-files.js'
import type { StoredFile } from './stored-file.js'

/** The fields of multer's file object that are used here. */
interface UploadedFile {
  readonly originalname: string
  readonly stream: Readable & { readonly truncated?: boolean }
  readonly sha256?: string
  readonly filename?: string
}

/** The fields of `req.file` and `req.files` that this engine adds to multer's own. */
export interface StoredFields {
  readonly destination: string
  readonly filename: string
  readonly path: string
  readonly size: number
  readonly sha256: string
  readonly url: string
}

/** The files of a request's session, and how to build the URL of a file. */
export interface UploadTarget {
  readonly files: SessionFiles
  urlOf(sha256: string, name: string): string
}

/**
 * A StorageEngine for multer (StorageEngine.md in its repository). Leaves `file.path` unset until the file is stored: when
 * a request is aborted, multer removes incomplete files that have a path, and another upload may use that path by then.
 */
export class MulterStorage {
  readonly #targetOf: (req: IncomingMessage) => UploadTarget
  /** The files that each request has stored. A failed request removes only these, not equal files of other requests. */
  readonly #stored = new WeakMap<IncomingMessage, Set<StoredFile>>()

  /** @param targetOf throws if the request has no session and can't start one */
  constructor(targetOf: (req: IncomingMessage) => UploadTarget) {
    this.#targetOf = targetOf
  }

  _handleFile(
    req: IncomingMessage,
    { originalname, stream }: UploadedFile,
    done: (error?: unknown, stored?: StoredFields) => void,
  ): void {
    this.#store(req, originalname, stream).then(
      stored => done(null, stored),
      error => {
        // The multipart parser waits until each part has been read.
        stream.resume()
        done(error)
      },
    )
  }

  /** Called by multer for each stored file of a request that failed. */
  _removeFile(
    req: IncomingMessage,
    { sha256, filename }: UploadedFile,
    done: (error: Error | null) => void,
  ): void {
    const remove = async () => {
      for (const file of this.#stored.get(req) ?? [])
        if (file.sha256 === sha256 && file.name === filename) await file.owner.undoUpload(file)
    }
    remove().then(() => done(null), done)
  }

  async #store(req: IncomingMessage, name: string, stream: UploadedFile['stream']): Promise<StoredFields> {
    const { files, urlOf } = this.#targetOf(req)
    // When a file exceeds multer's own `fileSize`, the stream ends without an error.
    const file = await files.save(stream, name, () => stream.truncated !== true)
    const stored = this.#stored.get(req) ?? new Set()
    this.#stored.set(req, stored.add(file))
    const { path, size, sha256 } = file
    return {
      destination: dirname(path),
      filename: file.name,
      path,
      size,
      sha256,
      url: urlOf(sha256, file.name),
    }
  }
}
