import type { IncomingMessage } from 'node:http'
import type { Manager } from '../core/manager.js'
import { GradioStateError, invalid } from '../errors.js'
import { isOf } from './middleware.js'
import type { Closable } from './request-state.js'

/** Counts a socket of the app's own as a connection: its user is here until it closes. */
export function track(manager: Manager, req: IncomingMessage, socket: Closable): void {
  const { gradioState } = req as { gradioState?: unknown }
  if (!isOf(manager, gradioState)) {
    throw new GradioStateError(
      'NOT_MOUNTED',
      'Expected a request that has passed this gradioState() middleware, got another. In an upgrade, run the session middleware and gradio first.',
    )
  }
  if (typeof socket?.once !== 'function') {
    throw invalid('the second argument of track()', 'a socket or a response', socket)
  }
  gradioState.track(socket)
}
