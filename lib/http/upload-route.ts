import type { ServerResponse } from 'node:http'
import type { Request, Response } from 'express'
import multer, { type Multer, type Options, type StorageEngine } from 'multer'
import { GradioStateError } from '../errors.js'
import type { StoredFields } from '../files/multer-storage.js'
import type { FrameworkRequest } from '../identity/request-context.js'

/** Reads the files out of a multipart body and stores them. */
export type Upload = (req: FrameworkRequest, res: ServerResponse) => Promise<StoredFields[]>

/** Multer as a promise: what it has stored of the field `files`. */
export function uploadTo(storage: StorageEngine): Upload {
  // Text fields are of no use here; a form may have a few all the same.
  const middleware = multerOf(storage, { ...LIMITS, fields: 20 }).array(FIELD)
  return (req, res) =>
    new Promise((resolve, reject) => {
      // Of Express's request and response, multer uses nothing but what those of Node.js have.
      middleware(req as Request, res as Response, error => {
        if (error) reject(explain(error))
        else resolve((req as FrameworkRequest & { files?: StoredFields[] }).files ?? [])
      })
    })
}

/** A multer that stores files in `storage`, and reads no more of a body than forms have. */
export function multerOf(storage: StorageEngine, limits: Options['limits'] = LIMITS): Multer {
  // Without the charset, names come as Latin-1: browsers send UTF-8 (multipart/form-data in the HTML standard).
  return multer({ storage, defParamCharset: 'utf8', limits })
}

const FIELD = 'files'

/**
 * Multer has no limits by itself, and keeps text fields in memory until the request is over: these are at most 6.4 MB. The
 * bytes of files are limited where they are stored, and by session.
 */
const LIMITS: Options['limits'] = {
  files: 1000,
  fields: 100,
  // Parts of no use to anybody are neither files nor fields.
  parts: 1100,
  fieldSize: 64 * 1024,
  fieldNameSize: 100,
  // `a[b][c]` makes objects in objects, and `a[9]` an array of ten (append-field).
  fieldNestingDepth: 5,
  fieldArrayIndexLimit: 100,
}

/** @throws GradioStateError `UPLOAD_INVALID` for a body that has no files in it, whatever they are */
export function expectMultipart({ headers }: FrameworkRequest): void {
  const type = headers['content-type']
  if (!/^multipart\/form-data\b/i.test(type ?? '')) throw invalidUpload(`got ${type ?? 'no Content-Type'}`)
}

/** What multer and its parser object to is the browser's doing. They throw plain errors; those of the system have a code. */
function explain(error: unknown): unknown {
  const isTheirs =
    error instanceof multer.MulterError ||
    (error instanceof Error && error.name === 'Error' && !('code' in error))
  if (!isTheirs || error instanceof GradioStateError) return error
  const { field, message } = error as Error & { field?: string }
  return invalidUpload(`which failed with: ${message}${field === undefined ? '' : ` (${field})`}`, error)
}

function invalidUpload(received: string, cause?: unknown): GradioStateError {
  return new GradioStateError(
    'UPLOAD_INVALID',
    `Expected multipart/form-data with files in the field ${FIELD}, ${received}.`,
    { cause },
  )
}
