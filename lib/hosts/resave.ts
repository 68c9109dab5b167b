import { warn } from '../warnings.js'
import { type ExpressSessionRequest, hasExpressSession } from './express-session.js'
import type { HostRequest } from './host.js'

type Done = (error?: unknown) => void

const probed = new WeakSet<object>()

/**
 * Runs `end`, which ends an answer of ours to a request whose session nobody has changed, and looks whether
 * express-session would save that session all the same (`resave: true`, which nothing else tells of). Then each long
 * answer of the app that began before a logout writes the session back at its end, and the logout is undone. Looks
 * once a store; nothing reaches the store. Before the headers are sent, `end` must not be run this way.
 */
export function probeResave(req: HostRequest, end: () => void): boolean {
  if (!hasExpressSession(req) || probed.has(req.sessionStore)) return false
  const store = req.sessionStore as { touch?: unknown }
  probed.add(store)
  const ownTouch = Object.getOwnPropertyDescriptor(store, 'touch')
  const answered = (_id: string, _session: object, done: Done) => setImmediate(done)
  const shadow: ExpressSessionRequest = req
  if (store.touch !== undefined)
    Object.defineProperty(store, 'touch', { value: answered, configurable: true })
  shadow.sessionStore = {
    set(id: string, session: object, done: Done) {
      warnOfResave()
      answered(id, session, done)
    },
  }
  try {
    end()
  } finally {
    shadow.sessionStore = store
    if (ownTouch !== undefined) Object.defineProperty(store, 'touch', ownTouch)
    else delete store.touch
  }
  return true
}

function warnOfResave(): void {
  warn(
    'GRADIO_STATE_RESAVE',
    'express-session is set to { resave: true }: a long answer, such as an event stream, saves the session again ' +
      'when it ends, which undoes a logout that came meanwhile. Set { resave: false }.',
  )
}
