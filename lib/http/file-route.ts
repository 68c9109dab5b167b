import type { ServerResponse } from 'node:http'
import { GradioStateError } from '../errors.js'
import { hideFrameworkSession } from '../identity/express-session.js'
import type { FrameworkRequest } from '../identity/request-context.js'
import { isOver, whenOver } from '../util/response-over.js'
import { sendOpenFile } from './file-response.js'
import type { RequestHandle } from './request-handle.js'
import { SessionDownloads } from './session-downloads.js'

type Request = [req: FrameworkRequest, res: ServerResponse, state: RequestHandle]

/**
 * Serves a file to the user it belongs to. The response doesn't reveal whether another user has the file.
 * @param scope the key of the scope that has the file; `null` for a file of the session itself
 */
export async function serveFile(
  sha256: string,
  encodedName: string,
  scope: string | null,
  ...[req, res, state]: Request
): Promise<void> {
  const name = decode(encodedName)
  if (name === undefined) throw fileUnknown()
  if (isOver({ req, res })) return
  // Doesn't wait for a slow disk when the browser has left.
  const over = new Promise<void>(resolve => whenOver({ req, res }, resolve))
  await Promise.race([findAndSend(sha256, name, scope, req, res, state), over])
}

async function findAndSend(
  sha256: string,
  name: string,
  scope: string | null,
  ...[req, res, state]: Request
): Promise<void> {
  // If the session isn't in this process, the request enters it, which shows whether it exists in the cluster.
  if (state.find() === undefined && state.isShared) await state.arrive()
  const session = state.find()
  session?.noteReturn()
  if (session !== undefined && !(await SessionDownloads.of(session).begin(req, res))) return
  const owner = scope === null ? session : await state.findScope(scope)
  const file = owner && (await state.openFile(owner, sha256, name))
  if (file === undefined) throw fileUnknown()
  whenOver({ req, res }, hideFrameworkSession(req))
  sendOpenFile(file, req, res)
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
