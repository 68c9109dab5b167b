import type { IncomingMessage } from 'node:http'

/** What Express 4 and 5 keep of a middleware: whether it is mounted on `/` has a name of its own in each. */
interface Layer {
  readonly handle: unknown
  readonly slash?: boolean
  readonly regexp?: { readonly fast_slash?: boolean }
}

interface App {
  readonly parent?: App
  readonly _router?: { readonly stack: Layer[] }
  readonly router?: { readonly stack: Layer[] }
}

const answers = new WeakMap<App, boolean>()

/**
 * Whether the Express app of a request has express-session before all its routes. While its store is disconnected,
 * express-session lets requests pass without a session and without a trace, so nothing else tells.
 */
export function mountsExpressSession(req: IncomingMessage): boolean {
  const { app } = req as IncomingMessage & { app?: App }
  if (app === undefined) return false
  let answer = answers.get(app)
  if (answer === undefined) {
    answer = looksFor(app)
    answers.set(app, answer)
  }
  return answer
}

function looksFor(app: App): boolean {
  // Express 4 throws at `router`, and has `_router` instead.
  const { stack = [] } = app._router ?? app.router ?? {}
  const isMounted = stack.some(
    ({ handle, slash, regexp }) => (slash || regexp?.fast_slash) && isExpressSession(handle),
  )
  return isMounted || (app.parent !== undefined && looksFor(app.parent))
}

/** The function that `session()` gives has this name, and reads this variable (express-session 1.x). */
function isExpressSession(handle: unknown): boolean {
  return typeof handle === 'function' && handle.name === 'session' && String(handle).includes('storeReady')
}
