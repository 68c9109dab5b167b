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
  readonly #report: (error: unknown) => void
  readonly #uploads = new WeakMap<IncomingMessage, RequestUploads>()

  /**
   * @param targetOf throws if the request has no session and can't start one
   * @param report called when the files of an aborted request can't be deleted
   */
  constructor(targetOf: (req: IncomingMessage) => UploadTarget, report: (error: unknown) => void) {
    this.#targetOf = targetOf
    this.#report = report
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
    const undone = this.#uploads
      .get(req)
      ?.undo(file => file.name === filename && file.hashes.includes(sha256 ?? ''))
    Promise.resolve(undone).then(() => done(null), done)
  }

  async #store(req: IncomingMessage, name: string, stream: UploadedFile['stream']): Promise<StoredFields> {
    const { files, urlOf } = this.#targetOf(req)
    const uploads = this.#uploads.get(req) ?? new RequestUploads(req, this.#report)
    this.#uploads.set(req, uploads)
    // When a file exceeds multer's own `fileSize`, the stream ends without an error.
    const file = await uploads.track(
      stream,
      files.save(stream, name, () => stream.truncated !== true),
    )
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

/**
 * The uploads of one request. multer 1 doesn't notice that the browser has aborted the request: it would leave the incoming file, and
 * those that are stored. multer 2 undoes them itself, and has taken its parser off the request by then.
 */
class RequestUploads {
  /** Not those of other requests with equal content, which stay when this request fails. */
  readonly #stored: StoredFile[] = []
  readonly #incoming = new Set<Readable>()
  #abortError: Error | undefined

  constructor(req: IncomingMessage, report: (error: unknown) => void) {
    req.once('close', () => {
      const isParsed = req.listenerCount('data') > 0
      if (isParsed && !req.readableEnded) this.#abort().catch(report)
    })
  }

  async track(stream: Readable, saving: Promise<StoredFile>): Promise<StoredFile> {
    this.#incoming.add(stream)
    try {
      const file = await saving
      this.#stored.push(file)
      if (this.#abortError === undefined) return file
    } finally {
      this.#incoming.delete(stream)
    }
    await this.undo()
    throw this.#abortError
  }

  async undo(matches: (file: StoredFile) => boolean = () => true): Promise<void> {
    for (let i = this.#stored.findIndex(matches); i >= 0; i = this.#stored.findIndex(matches)) {
      const [file] = this.#stored.splice(i, 1)
      await file?.owner.undoUpload(file)
    }
  }

  async #abort(): Promise<void> {
    this.#abortError = new Error('Request closed')
    for (const stream of this.#incoming) stream.destroy(this.#abortError)
    await this.undo()
  }
}
