import type { IncomingMessage } from 'node:http'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import type { CachedFile, UploadedFile } from '../types.js'
import type { SessionFiles } from './session-files.js'
import type { StoredFile } from './stored-file.js'

/** The fields of multer's file object that are used here. */
interface MulterFile {
  readonly fieldname: string
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

/**
 * A StorageEngine of multer, compatible with `@types/koa__multer` too, whose files have fewer fields. The callbacks have two signatures
 * each, since TypeScript compares callbacks of a single signature so strictly that no type would fit both.
 */
export interface UploadStorage {
  /** Called by multer to store a file. */
  _handleFile(
    req: IncomingMessage,
    file: { readonly fieldname: string; readonly originalname: string },
    done: { (error: unknown): void; (error: null, stored: StoredFields): void },
  ): void
  /** Called by multer for each stored file of a request that failed. */
  _removeFile(
    req: IncomingMessage,
    file: { readonly filename?: string },
    done: { (error: Error): void; (error: null): void },
  ): void
}

/** The files of a request's session. */
export interface UploadTarget {
  readonly files: SessionFiles
  /** Returns the object that the app gets for a stored file. */
  present(file: StoredFile): CachedFile
}

/**
 * A StorageEngine for multer (StorageEngine.md in its repository). Leaves `file.path` unset until the file is stored: when
 * a request is aborted, multer removes incomplete files that have a path, and by then that path may belong to another upload.
 */
export class MulterStorage implements UploadStorage {
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
    { fieldname, originalname, stream }: MulterFile,
    done: (error?: unknown, stored?: StoredFields) => void,
  ): void {
    this.#store(req, fieldname, originalname, stream).then(
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
    { sha256, filename }: MulterFile,
    done: (error: Error | null) => void,
  ): void {
    const undone = this.#uploads
      .get(req)
      ?.undoOne(file => file.name === filename && file.hashes.includes(sha256 ?? ''))
    Promise.resolve(undone).then(() => done(null), done)
  }

  /** The files that a request has uploaded, in their order. */
  filesOf(req: IncomingMessage): UploadedFile[] {
    return this.#uploads.get(req)?.files ?? []
  }

  async #store(
    req: IncomingMessage,
    field: string,
    name: string,
    stream: MulterFile['stream'],
  ): Promise<StoredFields> {
    const { files, present } = this.#targetOf(req)
    files.space.uploads.add(req)
    const uploads = this.#uploads.get(req) ?? new RequestUploads(req, this.#report)
    this.#uploads.set(req, uploads)
    // When a file exceeds multer's own `fileSize`, the stream ends without an error.
    const saving = files.save(stream, name, () => stream.truncated !== true)
    const { path, size, sha256, url, name: filename } = await uploads.track(field, stream, saving, present)
    return { destination: dirname(path), filename, path, size, sha256, url }
  }
}

/**
 * The uploads of one request. multer 1 doesn't detect that the browser has aborted the request: it would keep the incomplete file and the
 * files already stored. multer 2 removes them itself, and has detached its parser from the request before `close` is emitted.
 */
class RequestUploads {
  /** In the order of the request. Excludes uploads of the same content by other requests: they are kept when this request fails. */
  readonly #uploads: Upload[] = []
  readonly #incoming = new Set<Readable>()
  #abortError: Error | undefined

  constructor(req: IncomingMessage, report: (error: unknown) => void) {
    req.once('close', () => {
      const isParsed = req.listenerCount('data') > 0
      if (isParsed && !req.readableEnded) this.#abort().catch(report)
    })
  }

  get files(): UploadedFile[] {
    return this.#uploads.flatMap(({ field, stored }) => (stored === undefined ? [] : [{ ...stored, field }]))
  }

  async track(
    field: string,
    stream: Readable,
    saving: Promise<StoredFile>,
    present: UploadTarget['present'],
  ): Promise<CachedFile> {
    this.#incoming.add(stream)
    const upload: Upload = { field }
    this.#uploads.push(upload)
    try {
      const file = await saving
      const stored = present(file)
      Object.assign(upload, { file, stored })
      if (this.#abortError === undefined) return stored
    } finally {
      this.#incoming.delete(stream)
    }
    await this.#undoAll()
    throw this.#abortError
  }

  /** Undoes one of the stored uploads that match. @returns whether there was one */
  async undoOne(matches: (file: StoredFile) => boolean): Promise<boolean> {
    const index = this.#uploads.findIndex(({ file }) => file !== undefined && matches(file))
    if (index < 0) return false
    const [upload] = this.#uploads.splice(index, 1)
    await upload?.file?.owner.undoUpload(upload.file)
    return true
  }

  async #undoAll(): Promise<void> {
    while (await this.undoOne(() => true));
  }

  async #abort(): Promise<void> {
    this.#abortError = new Error('Request closed')
    for (const stream of this.#incoming) stream.destroy(this.#abortError)
    await this.#undoAll()
  }
}

/** One upload of a request. */
interface Upload {
  readonly field: string
  /** Set when it is stored. */
  readonly file?: StoredFile
  /** The object that the app got for the file. */
  readonly stored?: CachedFile
}
