import type { ReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import contentDisposition from 'content-disposition'
import { contentType } from 'mime-types'
import send from 'send'
import type { PinnedFile } from '../files/session-files.js'
import { isOver, whenOver } from '../util/response-over.js'
import { mimeTypeOf } from './mime-type.js'

/** A file to send: one of the session in this process, which is pinned, or one of another instance, which has no record here. */
export type ServedFile = Pick<PinnedFile, 'file'> & Partial<PinnedFile>

/**
 * Sends an open file: with ranges, conditional requests, and headers that keep it from running scripts. Closes and unpins it when the
 * response is over. It sends the file that was opened, even if there is another one at its path now.
 */
export function sendOpenFile({ file, record }: ServedFile, req: IncomingMessage, res: ServerResponse): void {
  const { handle, name, sha256, stats } = file
  whenOver({ req, res }, () => {
    if (record !== undefined) record.pins--
    // An error when closing a file that was only read can be ignored.
    file.close().catch(() => {})
  })
  if (isOver({ req, res })) return
  const type = mimeTypeOf(name)
  res.setHeader('Content-Type', contentType(type) || type)
  res.setHeader(
    'Content-Disposition',
    contentDisposition(name, { type: isSafeInline(type) ? 'inline' : 'attachment' }),
  )
  res.setHeader('Content-Security-Policy', policyOf(type))
  res.setHeader('X-Content-Type-Options', 'nosniff')
  // Compression middleware must not compress a range: the client could not combine it with other ranges.
  res.setHeader(
    'Cache-Control',
    req.headers.range === undefined ? CACHE_CONTROL : `${CACHE_CONTROL}, no-transform`,
  )
  res.appendHeader('Vary', 'Cookie')
  if (sha256 !== undefined) res.setHeader('ETag', `"${sha256}"`)
  const lastModified = sha256 !== undefined
  // `send` passes its options on to `createReadStream`, which reads from `fd` instead of opening the path.
  const options = { cacheControl: false, etag: false, index: false, lastModified, fd: handle }
  const sending = send(req, '/', options)
  sending.sendFile = path => sending.send(path, stats)
  sending
    .on('error', error => respondWithError(res, error))
    // A pipelined response that waits for its turn emits nothing when the connection is lost, and `send` would keep the file open.
    .on('stream', (stream: ReadStream) => whenOver({ req, res }, () => stream.destroy()))
    .pipe(res)
}

const CACHE_CONTROL = 'private, no-cache'

/** Whether no browser runs scripts in files of this type, even in their own tab. SVG and HTML can contain scripts. */
function isSafeInline(type: string): boolean {
  if (type === 'text/plain') return true
  return /^(image|audio|video)\//.test(type) && type !== 'image/svg+xml'
}

/**
 * Allows no scripts. To play audio or video in its own tab, the browser creates a document that requests the file again. That request needs
 * the cookie, so the document must keep its origin.
 */
function policyOf(type: string): string {
  return /^(audio|video)\//.test(type)
    ? "default-src 'none'; media-src 'self'; sandbox allow-same-origin"
    : "default-src 'none'; sandbox"
}

/** Responds when `send` fails: a precondition failed, the range is not satisfiable, or the file can't be read. */
function respondWithError(res: ServerResponse, { status, headers }: HttpError): void {
  if (res.headersSent) {
    // Lets the browser detect that the file is incomplete.
    res.destroy()
    return
  }
  for (const header of CONTENT_HEADERS) res.removeHeader(header)
  res.writeHead(status, { ...headers, 'Cache-Control': 'no-store' })
  res.end()
}

/** An error of `send`. */
interface HttpError extends Error {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
}

const CONTENT_HEADERS = [
  'Accept-Ranges',
  'Content-Disposition',
  'Content-Range',
  'Content-Security-Policy',
  'Content-Type',
  'ETag',
  'Last-Modified',
]
