import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestContext } from '../identity/request-context.js'

/**
 * The property of an instance that contains its {@link Admit}, for adapters to other frameworks. A registered symbol, so that an
 * adapter from the ESM copy of this package finds it on an instance from the CommonJS copy.
 */
export const ADMIT = Symbol.for('gradio-state.admit')

/**
 * Sets `req.gradioState`, and responds to requests for the library's own routes.
 * @param res `undefined` at an upgrade
 * @param context what the framework provides for the request
 * @returns whether the library responds; if not, the app's next middleware has to run
 */
export type Admit = (
  req: IncomingMessage,
  res: ServerResponse | undefined,
  context: RequestContext,
) => Promise<boolean>
