import type { IncomingMessage } from 'node:http'
import { invalid } from '../../errors.js'
import { known, optionalFunction } from '../../parse.js'
import type { SessionView } from '../../types.js'

/** The options of `gradio.inspector()`. */
export interface InspectorOptions {
  /**
   * Decides whether the sender of a request may see and end all sessions of this process. Called for each request, including those with
   * which an open page polls for data, so a changed answer takes effect at once. If the result isn't truthy, or if it throws or rejects,
   * the response is 404.
   * @param ctx Koa's context, with `ctx.session`; `undefined` in Express
   */
  authorize(req: IncomingMessage, ctx?: unknown): unknown
  /**
   * Returns what the page shows of a session's values; it is displayed as text. May be async, but has to settle within `hookTimeout`.
   * Without it, the page shows only the names of values.
   */
  describe?(session: SessionView): unknown
}

export type Authorize = InspectorOptions['authorize']
export type Describe = NonNullable<InspectorOptions['describe']>

/** @throws GradioStateError `OPTION_INVALID` */
export function parseInspectorOptions(options: InspectorOptions | undefined): {
  authorize: Authorize
  describe: Describe | undefined
} {
  const given = options ?? {}
  known('the options of inspector()', given, { authorize: true, describe: true })
  const { authorize, describe } = given as Partial<InspectorOptions>
  if (typeof authorize !== 'function')
    throw invalid(
      'authorize',
      'a function that decides who may see and end all sessions, such as req => req.session?.user?.admin === true',
      authorize,
    )
  return { authorize, describe: optionalFunction('describe', describe) }
}
