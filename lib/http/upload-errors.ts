import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import multer, { type Multer } from 'multer'
import { ERROR_HEADER, GradioStateError } from '../errors.js'
import { resetAfterResponse } from './refused-body.js'

/**
 * A multer instance whose errors have an HTTP status when the request is at fault: 413 for a file that is too large, else 400. Multer's own
 * errors have none, so that Express, Koa and Connect would respond with 500. Class, `code` and message stay as they are.
 */
export function withStatus(upload: Multer): Multer {
  return {
    single: name => explaining(upload.single(name)),
    array: (name, maxCount) => explaining(upload.array(name, maxCount)),
    fields: fields => explaining(upload.fields(fields)),
    none: () => explaining(upload.none()),
    any: () => explaining(upload.any()),
  }
}

/** Whether a multer instance with {@link withStatus} has failed because of the request. */
export function isInvalidRequest(error: unknown): error is InvalidRequest {
  return error instanceof Error && INVALID in error
}

interface InvalidRequest extends Error {
  readonly field?: string
}

const INVALID = Symbol('gradio-state.invalid-request')

function explaining(middleware: RequestHandler): RequestHandler {
  return (req, res, next) => {
    if (hasEmptyBoundary(req)) next(explain(new Error('Multipart: Boundary not found')))
    else
      middleware(req, res, error => {
        if (error) resetAfterResponse(res)
        next(error && explain(error))
      })
  }
}

/** RFC 2046 §5.1.1 requires at least one character. The parser takes such a body for an empty one, and the message is its own. */
function hasEmptyBoundary({ headers }: IncomingMessage): boolean {
  return /^multipart\/.*;\s*boundary=("\s*"|\s*)(;|$)/i.test(headers['content-type'] ?? '')
}

/** Errors of multer and of its parser mean an invalid request. The parser throws plain errors; system errors have a code. */
function explain(error: unknown): unknown {
  const isMulters = error instanceof multer.MulterError
  const isParsers = error instanceof Error && error.name === 'Error' && !('code' in error)
  if (error instanceof GradioStateError || !(isMulters || isParsers)) return error
  const status = isMulters && error.code === 'LIMIT_FILE_SIZE' ? 413 : 400
  const headers = isMulters ? { [ERROR_HEADER]: error.code } : {}
  return Object.assign(error, { status, statusCode: status, expose: true, headers, [INVALID]: true })
}
