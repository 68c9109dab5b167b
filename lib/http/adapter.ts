import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestContext } from '../identity/request-context.js'

/**
 * Under this name an instance offers to adapters what its own middleware does; registered, so that an adapter from the
 * ESM copy of this package finds it on an instance from the CommonJS copy.
 */
export const ADMIT = Symbol.for('gradio-state.admit')

/**
 * Sets `req.gradioState`, and answers the library's own routes.
 * @param res none at an upgrade
 * @param context what the framework knows of the request
 * @returns whether the request was answered; if not, it goes on
 */
export type Admit = (
  req: IncomingMessage,
  res: ServerResponse | undefined,
  context: RequestContext,
) => Promise<boolean>
