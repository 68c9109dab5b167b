import type { ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'
import type { FileCache } from '../files/cache.js'
import { hideFrameworkSession } from '../identity/express-session.js'
import type { FrameworkRequest } from '../identity/request-context.js'
import { isOver, whenOver } from '../util/response-over.js'
import { type ServedFile, sendOpenFile } from './file-response.js'
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
  if (isOver({ req, res })) return
  // A disk may take long to answer. Nobody waits for it when the browser has left.
  const over = new Promise<void>(resolve => whenOver({ req, res }, resolve))
  await Promise.race([findAndSend(cache, sha256, name, req, res, state), over])
}

async function findAndSend(
  cache: FileCache,
  sha256: string,
  name: string,
  req: FrameworkRequest,
  res: ServerResponse,
  state: RequestHandle,
): Promise<void> {
  const session = state.find()
  const own = session === undefined ? undefined : await cache.peek(session.id)?.open(sha256, name)
  const file = own ?? (state.isShared ? await openOnOtherNode(cache, sha256, name, state) : undefined)
  if (file === undefined) throw fileUnknown()
  whenOver({ req, res }, hideFrameworkSession(req))
  sendOpenFile(file, req, res)
}

/**
 * Finds the file in the directory of another node. If the session isn't in this process, the request enters it first, which shows
 * whether it exists in the cluster.
 */
async function openOnOtherNode(
  cache: FileCache,
  sha256: string,
  name: string,
  state: RequestHandle,
): Promise<ServedFile | undefined> {
  if (state.find() === undefined) await state.arrive()
  const session = state.find()
  const file = session && (await cache.peers.open(session.id, sha256, name))
  return file && { file }
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
