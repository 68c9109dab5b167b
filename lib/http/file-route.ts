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

/** Serves a file to the user it belongs to. One of somebody else and one that never was get the same answer. */
export async function serveFile(
  cache: FileCache,
  sha256: string,
  encodedName: string,
  req: FrameworkRequest,
  res: ServerResponse,
  state: RequestHandle,
): Promise<void> {
  const name = decode(encodedName)
  if (name === undefined) throw unknown()
  const session = state.find()
  const own = session === undefined ? undefined : cache.peek(session.id)?.find(sha256, name)
  const file = own ?? (state.isShared ? await findElsewhere(cache, sha256, name, state) : undefined)
  if (file === undefined) throw unknown()
  if (isOver({ req, res })) return
  if (own !== undefined) {
    // Swept or not, what was begun is served to its end.
    own.pins++
    whenOver({ req, res }, () => {
      own.pins--
    })
    if (!(await own.owner.isThere(own))) throw unknown()
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
  // A part that the compression middleware has compressed would fit to no other.
  res.setHeader('Cache-Control', req.headers.range === undefined ? CACHED : `${CACHED}, no-transform`)
  res.appendHeader('Vary', 'Cookie')
  res.setHeader('ETag', `"${file.sha256}"`)
  const show = hideFrameworkSession(req)
  whenOver({ req, res }, show)
  send(req, encodeURIComponent(file.name), {
    root: dirname(file.path),
    dotfiles: 'allow',
    index: false,
    cacheControl: false,
  })
    .on('error', error => refuse(res, error))
    // `send` would keep the file open after the connection of a response that waited for its turn was lost.
    .on('stream', (file: ReadStream) => whenOver({ req, res }, () => file.destroy()))
    .pipe(res)
}

/**
 * The file in the folder of another node: its user's requests come to any of them. Where the session has no part here, its
 * nodes are asked whether it lives, by entering it.
 */
async function findElsewhere(
  cache: FileCache,
  sha256: string,
  name: string,
  state: RequestHandle,
): Promise<PeerFile | undefined> {
  if (state.find() === undefined) await state.arrive()
  const session = state.find()
  return session && cache.peers.find(session.id, sha256, name)
}

const CACHED = 'private, no-cache'

/** Formats that run no script in any browser, even when opened by themselves. SVG and HTML do. */
function isSafeInline(type: string): boolean {
  if (type === 'text/plain') return true
  return /^(image|audio|video)\//.test(type) && type !== 'image/svg+xml'
}

/**
 * No script runs. A sound or a film that is opened by itself is asked for once more by the document that the browser
 * makes to play it, which needs the cookie, and so the origin.
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

function unknown(): GradioStateError {
  return new GradioStateError('FILE_UNKNOWN', 'Expected a file of this session, got one that is not.')
}

/** What `send` can't do: a condition that doesn't hold, a range past the end, a file that somebody has taken away. */
function refuse(res: ServerResponse, { status, headers }: HttpError): void {
  if (res.headersSent) {
    // The browser has to see that this was not all.
    res.destroy()
    return
  }
  for (const header of OF_THE_CONTENT) res.removeHeader(header)
  const { code, message } = unknown()
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

const OF_THE_CONTENT = [
  'Accept-Ranges',
  'Content-Disposition',
  'Content-Range',
  'Content-Security-Policy',
  'Content-Type',
  'ETag',
  'Last-Modified',
]
