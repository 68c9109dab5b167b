import { warnOfResave } from '../warnings.js'
import { cameWithCookie, type ExpressSessionRequest, hasExpressSession } from './express-session.js'
import type { HostRequest } from './host.js'

type Done = (error?: unknown, session?: unknown) => void

interface Store {
  get(id: string, done: Done): void
  touch?: unknown
}

const probed = new WeakSet<object>()

/**
 * Runs `end`, which ends an answer of ours whose head is sent, and looks whether express-session would save its
 * session although nobody has changed it (`resave: true`, which nothing else tells of). Then each long answer that
 * began before a logout writes the session back at its end, and the logout is undone. Looks once a store, with nothing
 * written to it. Gives `false`, and runs nothing, when there is nothing to look at.
 */
export function probeResave(req: HostRequest, end: () => void): boolean {
  if (!hasExpressSession(req) || probed.has(req.sessionStore) || !cameWithCookie(req)) return false
  const store = req.sessionStore as Store
  probed.add(store)
  const shadowed: ExpressSessionRequest = req
  const ownTouch = Object.getOwnPropertyDescriptor(store, 'touch')
  const answered = (_id: string, _session: object, done: Done) => setImmediate(done)
  if (store.touch !== undefined)
    Object.defineProperty(store, 'touch', { value: answered, configurable: true })
  shadowed.sessionStore = {
    set(id: string, session: object, done: Done) {
      store.get(id, (error, stored) => {
        if (!error && stored && contentOf(stored) === contentOf(session)) warnOfResave()
      })
      answered(id, session, done)
    },
  }
  try {
    end()
  } finally {
    shadowed.sessionStore = store
    if (ownTouch !== undefined) Object.defineProperty(store, 'touch', ownTouch)
    else delete store.touch
  }
  return true
}

/** What express-session compares, too: all but the cookie. */
function contentOf(session: unknown): string {
  return JSON.stringify(session, (key, value: unknown) => (key === 'cookie' ? undefined : value))
}
