import type { IncomingMessage } from 'node:http'
import { invalid } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import { stateOf } from './middleware.js'
import { type Closable, closingOf } from './tracked-socket.js'

/** Counts a socket of the app's own as a connection: its user is here until it closes. */
export function track(sessions: Sessions, req: IncomingMessage, socket: Closable): void {
  const state = stateOf(sessions, req)
  const whenClosed = closingOf(req, socket)
  if (whenClosed === undefined) throw invalid('the second argument of track()', EXPECTED, socket)
  state.track(whenClosed)
}

const EXPECTED =
  'a response, or a socket that shows whether it is open and says when it closes; for anything else, an AbortSignal that the app aborts when its user has left'
