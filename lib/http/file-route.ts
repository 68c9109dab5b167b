import type { ReadStream } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import contentDisposition from 'content-disposition'
import { contentType } from 'mime-types'
import send from 'send'
import { GradioStateError } from '../errors.js'
import type { FileCache } from '../files/cache.js'
import type { PeerFile } from '../files/peer-instances.js'
import { hideFrameworkSession } from '../identity/express-session.js'
import type { FrameworkRequest } from '../identity/request-context.js'
import { isOver, whenOver } from '../util/response-over.js'
import { mimeTypeOf } from './file-access.js'
import type { RequestHandle } from './request-handle.js'

/** Serves a file to the user it belongs to. The response doesn't reveal whether another user has the file. */
export async function serveFile(
  cache: FileCache,
  sha256: string,
  encodedName: string,
  req: FrameworkRequest,
  res: ServerResponse,
  state: RequestHandle,
): Promise<void> {
  const name = decode(encodedName)
  if (name === undefined) throw fileUnknown()
  const session = state.find()
  const own = session === undefined ? undefined : cache.peek(session.id)?.find(sha256, name)
  const file = own ?? (state.isShared ? await findOnOtherNode(cache, sha256, name, state) : undefined)
  if (file === undefined) throw fileUnknown()
  if (isOver({ req, res })) return
  if (own !== undefined) {
    // A sweep must not delete the file while it is being sent.
    own.pins++
    whenOver({ req, res }, () => {
      own.pins--
    })
    if (!(await own.owner.isThere(own))) throw fileUnknown()
    if (isOver({ req, res })) return
  }
  const type = mimeTypeOf(file.name)
  res.setHeader('Content-Type', contentType(type) || type)
  res.setHeader(
    'Content-Disposition',
    contentDisposition(file.name, { type: isSafeInline(type) ? 'inline' : 'attachment' }),
  )
  res.setHeader('Content-Security-Policy', policyOf(type))
  res.setHeader('X-Content-Type-Options', 'nosniff')
  // Compression middleware must not compress a range: the client could not combine it with other ranges.
  res.setHeader(
    'Cache-Control',
    req.headers.range === undefined ? CACHE_CONTROL : `${CACHE_CONTROL}, no-transform`,
  )
  res.appendHeader('Vary', 'Cookie')
  res.setHeader('ETag', `"${file.sha256}"`)
  const restoreSession = hideFrameworkSession(req)
  whenOver({ req, res }, restoreSession)
  send(req, encodeURIComponent(file.name), {
    root: dirname(file.path),
    dotfiles: 'allow',
    index: false,
    cacheControl: false,
  })
    .on('error', error => respondWithError(res, error))
    // A pipelined response that waits for its turn emits nothing when the connection is lost, and `send` would keep the file open.
    .on('stream', (file: ReadStream) => whenOver({ req, res }, () => file.destroy()))
    .pipe(res)
}

/**
 * Finds the file in the directory of another node. If the session isn't in this process, the request enters it first, which shows
 * whether it exists in the cluster.
 */
async function findOnOtherNode(
  cache: FileCache,
  sha256: string,
  name: string,
  state: RequestHandle,
): Promise<PeerFile | undefined> {
  if (state.find() === undefined) await state.arrive()
  const session = state.find()
  return session && cache.peers.find(session.id, sha256, name)
}

const CACHE_CONTROL = 'private, no-cache'

/** Whether no browser runs scripts in files of this type, even in a tab of their own. SVG and HTML can contain scripts. */
function isSafeInline(type: string): boolean {
  if (type === 'text/plain') return true
  return /^(image|audio|video)\//.test(type) && type !== 'image/svg+xml'
}

/**
 * Allows no scripts. To play audio or video in a tab of its own, the browser creates a document that requests the file again. That
 * request needs the cookie, so the document must keep its origin.
 */
function policyOf(type: string): string {
  return /^(audio|video)\//.test(type)
    ? "default-src 'none'; media-src 'self'; sandbox allow-same-origin"
    : "default-src 'none'; sandbox"
}

function decode(name: string): string | undefined {
  try {
    return decodeURIComponent(name)
  } catch {
    return undefined
  }
}

function fileUnknown(): GradioStateError {
  return new GradioStateError('FILE_UNKNOWN', 'Expected the URL of a file of this session, got another.')
}

/** Responds when `send` fails: a precondition failed, the range is not satisfiable, or the file was removed meanwhile. */
function respondWithError(res: ServerResponse, { status, headers }: HttpError): void {
  if (res.headersSent) {
    // Lets the browser detect that the file is incomplete.
    res.destroy()
    return
  }
  for (const header of CONTENT_HEADERS) res.removeHeader(header)
  const { code, message } = fileUnknown()
  const isUnknown = status === 404
  res.writeHead(status, {
    ...headers,
    ...(isUnknown && { 'Content-Type': 'application/json' }),
    'Cache-Control': 'no-store',
  })
  res.end(isUnknown ? JSON.stringify({ error: { code, message } }) : undefined)
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
