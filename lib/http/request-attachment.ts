import { IncomingMessage } from 'node:http'
import { property } from '../identity/property.js'

/**
 * Where a request has its state. Express sets the prototype of each request, after which V8 gives each a hidden class of its
 * own, which every further property copies: 1.4 kB, and all names that Express then reads have to be looked up anew. So its
 * requests have their state by the state of their stream, and `req.gradioState` is an accessor on Express's own prototype
 * of requests. (A WeakMap keeps what leads back to its key until the next full collection.)
 */
const STATE = Symbol('gradioState')

/** The state of a stream, which Node.js makes with each request (its `lib/internal/streams/readable.js`). */
type Stream = { [STATE]?: unknown }

interface Attached {
  gradioState?: unknown
  readonly _readableState?: Stream
}

/** What is found as `req.gradioState`. */
export function attached(req: IncomingMessage & Attached): unknown {
  const stream = streamBehind(req)
  return stream === undefined ? req.gradioState : stream[STATE]
}

/** Lets `req.gradioState` be found. */
export function attach(req: IncomingMessage & Attached, state: unknown): void {
  const stream = streamBehind(req)
  if (stream === undefined) req.gradioState = state
  else stream[STATE] = state
}

/** Where the accessor finds the state of this request; `undefined` when it has none, but a property. */
function streamBehind(req: IncomingMessage): Stream | undefined {
  const prototype: object = Object.getPrototypeOf(req)
  let hasAccessor = prototypes.get(prototype)
  if (hasAccessor === undefined) {
    hasAccessor = addAccessor(frameworkPrototype(prototype))
    prototypes.set(prototype, hasAccessor)
  }
  return hasAccessor ? streamOf(req) : undefined
}

function streamOf(req: object): Stream | undefined {
  return property(req as Attached, '_readableState')
}

/** Prototypes of requests, and whether the accessor is there, or above. */
const prototypes = new WeakMap<object, boolean>()

/**
 * The framework's prototype of requests, right below that of Node.js: a request goes from one app to another, and the
 * prototypes of all of them come from there. `undefined` where there is none.
 */
function frameworkPrototype(prototype: object): object | undefined {
  const above: object | null = Object.getPrototypeOf(prototype)
  if (above === IncomingMessage.prototype) return prototype
  return above === null ? undefined : frameworkPrototype(above)
}

/** Of the ESM copy of this package and the CommonJS copy, the first has its accessor there; to the other it is like a property. */
function addAccessor(prototype: object | undefined): boolean {
  if (prototype === undefined) return false
  if (!('gradioState' in prototype) && Object.isExtensible(prototype))
    Object.defineProperty(prototype, 'gradioState', { ...VISIBLE, get: getState, set: setState })
  return Object.getOwnPropertyDescriptor(prototype, 'gradioState')?.get === getState
}

function getState(this: object): unknown {
  return streamOf(this)?.[STATE]
}

/** Anybody else's: what an app puts there by itself, as a test does. */
function setState(this: object, value: unknown): void {
  const stream = streamOf(this)
  if (stream === undefined) Object.defineProperty(this, 'gradioState', { ...VISIBLE, value, writable: true })
  else stream[STATE] = value
}

const VISIBLE = { configurable: true, enumerable: true }
