import { IncomingMessage } from 'node:http'
import { Http2ServerRequest } from 'node:http2'
import { GradioStateError, unsupported } from '../errors.js'

/** The name of the property that the middleware sets on a request. */
const PROPERTY = 'gradioState'

/**
 * From now on, `gradioState` of a request that has not passed the middleware throws `NOT_MOUNTED`. Without this, a handler that runs
 * before `app.use(gradio)` fails with "Cannot read properties of undefined", which doesn't name the line to change.
 * @param prototypes those of Node.js's requests, which are the only ones that can be reached before the first request; then Koa's contexts
 */
export function explainMissingState(
  prototypes: object[] = [IncomingMessage.prototype, Http2ServerRequest.prototype],
): void {
  for (const prototype of prototypes) {
    // Another instance, or another copy of this package, may have set it.
    if (PROPERTY in prototype) continue
    Object.defineProperty(prototype, PROPERTY, {
      configurable: true,
      get() {
        throw notMounted()
      },
      set(this: object, value: unknown) {
        const property = { value, configurable: true, enumerable: true, writable: true }
        Object.defineProperty(this, PROPERTY, property)
      },
    })
  }
}

/** The state that a middleware has set on a request, or `undefined`. */
export function stateIn(req: IncomingMessage): unknown {
  return Object.hasOwn(req, PROPERTY) ? Reflect.get(req, PROPERTY) : undefined
}

export function notMounted(): GradioStateError {
  return new GradioStateError(
    'NOT_MOUNTED',
    'Expected a request that has passed through this gradioState() middleware, got one that has not. Call app.use(gradio) before the routes that use it; for an upgrade request, run the session middleware and gradio first.',
  )
}

/** Throws unless a framework called the middleware as Express and Connect do. Koa calls it with a context and `next`. */
export function expectExpress(next: unknown): void {
  if (typeof next === 'function') return
  throw new GradioStateError(
    'WRONG_FRAMEWORK',
    'Expected a call with (req, res, next), as Express makes it, got one without next. For Koa, replace app.use(gradio) with app.use(koa(gradio)), with koa from gradio-state/koa.',
  )
}

/** For a Koa middleware that was called with (req, res, next). */
export function notKoa(): GradioStateError {
  return new GradioStateError(
    'WRONG_FRAMEWORK',
    'Expected a call with (ctx, next), as Koa makes it, got one with (req, res, next). For Express, replace app.use(koa(gradio)) with app.use(gradio).',
  )
}

/** koa-session 4 is for Koa 1: in Koa 2, the content of its session is lost when the library commits it. */
export function expectKoaSession5(commit: unknown): void {
  if (Object.prototype.toString.call(commit) !== '[object GeneratorFunction]') return
  const received = 'whose commit() is a generator function, as that of version 4 is'
  throw unsupported('koa-session', 'version 5 or later', received)
}

/** Throws if the options of `gradioState()` are a request, or Koa's context of one: `app.use(gradioState)` without a call. */
export function expectOptions(options: unknown): void {
  const isRequest = options instanceof IncomingMessage || options instanceof Http2ServerRequest
  const isContext =
    typeof options === 'object' &&
    options !== null &&
    'req' in options &&
    options.req instanceof IncomingMessage
  if (!isRequest && !isContext) return
  throw new GradioStateError(
    'NOT_CALLED',
    'Expected options, got a request. Replace app.use(gradioState) with: const gradio = gradioState(), once, and app.use(gradio).',
  )
}
