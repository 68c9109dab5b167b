import type { IncomingMessage } from 'node:http'
import { invalid } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import { stateOf } from './middleware.js'
import type { Closable } from './request-state.js'

/** Counts a socket of the app's own as a connection: its user is here until it closes. */
export function track(manager: Sessions, req: IncomingMessage, socket: Closable): void {
  const state = stateOf(manager, req)
  if (typeof socket?.once !== 'function') {
    throw invalid('the second argument of track()', 'a socket or a response', socket)
  }
  state.track(socket)
}
