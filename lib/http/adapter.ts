import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FrameworkRequest, RequestContext } from '../identity/request-context.js'
import type { Answer } from './inspector/answer.js'

/** A middleware for Express and Connect. */
export type Handler = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

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

/** The property of an inspector's middleware that contains its {@link Responder}, as {@link ADMIT}. */
export const INSPECTOR = Symbol.for('gradio-state.inspector')

/** An inspector without a framework. */
export interface Responder {
  /** @param ctx Koa's context */
  respond(req: FrameworkRequest, context: RequestContext, ctx?: unknown): Promise<Answer>
}
