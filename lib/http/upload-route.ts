import type { ServerResponse } from 'node:http'
import type { Request, Response } from 'express'
import multer, { type Multer, type Options, type StorageEngine } from 'multer'
import { GradioStateError } from '../errors.js'
import type { StoredFields } from '../files/multer-storage.js'
import type { FrameworkRequest } from '../identity/request-context.js'
import { pipeBody } from './refused-body.js'
import { isInvalidRequest, withStatus } from './upload-errors.js'

/** Parses a multipart body and stores its files. */
export type Upload = (req: FrameworkRequest, res: ServerResponse) => Promise<StoredFields[]>

/** Promise-based multer for the files of the field `files`. */
export function uploadTo(storage: StorageEngine): Upload {
  // Text fields are ignored here, but a form may contain a few.
  const middleware = multerOf(storage, { ...LIMITS, fields: 20 }).array(FIELD)
  return (req, res) =>
    new Promise((resolve, reject) => {
      // multer uses only those properties of Express's request and response that Node.js provides.
      middleware(req as Request, res as Response, error => {
        if (error) reject(explain(error))
        else resolve((req as FrameworkRequest & { files?: StoredFields[] }).files ?? [])
      })
    })
}

/** A multer instance that stores files in `storage`. Its default limits are far above what forms contain. */
export function multerOf(storage: StorageEngine, limits: Options['limits'] = LIMITS): Multer {
  // Browsers send file names as UTF-8 (multipart/form-data in the HTML standard). By default, multer decodes Latin-1.
  const options = { storage, defParamCharset: 'utf8', limits, streamHandler: pipeBody }
  return withStatus(multer(options))
}

const FIELD = 'files'

/**
 * multer has no limits by default, and keeps text fields in memory until the request is over: at most 6.4 MB with these limits.
 * The bytes of files are limited where they are stored, for each file and each session.
 */
const LIMITS: Options['limits'] = {
  files: 1000,
  fields: 100,
  // Also counts parts that are neither files nor fields.
  parts: 1100,
  fieldSize: 64 * 1024,
  fieldNameSize: 100,
  // append-field parses `a[b][c]` to nested objects, and `a[9]` to an array of length 10.
  fieldNestingDepth: 5,
  fieldArrayIndexLimit: 100,
}

/** @throws GradioStateError `UPLOAD_INVALID` for a body that can't contain files */
export function expectMultipart({ headers }: FrameworkRequest): void {
  const type = headers['content-type']
  if (!/^multipart\/form-data\b/i.test(type ?? '')) throw invalidUpload(`got ${type ?? 'no Content-Type'}`)
}

function explain(error: unknown): unknown {
  if (!isInvalidRequest(error)) return error
  const { field, message } = error
  return invalidUpload(
    `got a body that multer rejected: ${message}${field === undefined ? '' : ` (${field})`}`,
    error,
  )
}

function invalidUpload(received: string, cause?: unknown): GradioStateError {
  return new GradioStateError(
    'UPLOAD_INVALID',
    `Expected multipart/form-data with files in the field ${FIELD}, ${received}.`,
    { cause },
  )
}
