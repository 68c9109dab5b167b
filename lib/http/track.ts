import type { IncomingMessage } from 'node:http'
import { invalid } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import { stateOf } from './middleware.js'
import { type Closable, closeOf } from './tracked-socket.js'

/** Counts a socket of the app as a connection of its user, until it closes. */
export function track(sessions: Sessions, req: IncomingMessage, socket: Closable): void {
  const state = stateOf(sessions, req)
  const whenClosed = closeOf(req, socket)
  if (whenClosed === undefined) throw invalid('the second argument of track()', EXPECTED, socket)
  state.track(whenClosed)
}

const EXPECTED =
  'a response, or a socket that has an open state and emits an event when it closes; for anything else, an AbortSignal that the app aborts when its user has left'
