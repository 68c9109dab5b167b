import type { IncomingMessage } from 'node:http'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import type { SessionFiles } from './session-files.js'
import type { StoredFile } from './stored-file.js'

/** What multer tells of a file; of its fields, those that are used here. */
interface UploadedFile {
  readonly originalname: string
  readonly stream: Readable & { readonly truncated?: boolean }
  readonly sha256?: string
  readonly filename?: string
}

/** What `req.file` and `req.files` have beside multer's own fields. */
export interface StoredFields {
  readonly destination: string
  readonly filename: string
  readonly path: string
  readonly size: number
  readonly sha256: string
  readonly url: string
}

/** The session that a request belongs to, and how its browser finds a file. */
export interface UploadTarget {
  readonly files: SessionFiles
  urlOf(sha256: string, name: string): string
}

/**
 * A StorageEngine of multer (StorageEngine.md in its repository). `file.path` is left unset until the file is stored:
 * else multer would have it removed by that path when the upload is cut off, which by then may be another upload's.
 */
export class MulterStorage {
  readonly #targetOf: (req: IncomingMessage) => UploadTarget
  /** What a request has stored: only that may it take back, not what has come by another in its place. */
  readonly #stored = new WeakMap<IncomingMessage, Set<StoredFile>>()

  /** @param targetOf throws when the request has no session and can't have one */
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
        // The multipart parser waits until each part is read.
        stream.resume()
        done(error)
      },
    )
  }

  /** Takes an upload back whose request has failed. */
  _removeFile(
    req: IncomingMessage,
    { sha256, filename }: UploadedFile,
    done: (error: Error | null) => void,
  ): void {
    const remove = async () => {
      for (const file of this.#stored.get(req) ?? [])
        if (file.sha256 === sha256 && file.name === filename) await file.owner.takeBack(file)
    }
    remove().then(() => done(null), done)
  }

  async #store(req: IncomingMessage, name: string, stream: UploadedFile['stream']): Promise<StoredFields> {
    const { files, urlOf } = this.#targetOf(req)
    // Over multer's own `fileSize`, the stream ends as if it were whole.
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
