import { type IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { replaceMethod } from '../util/replace-method.js'

/**
 * What to do with an upgrade request: upgrade it for this handler, or emit `request` for it, as if it had no `Upgrade` header. `undefined`:
 * the request isn't for this handler, and the server decides as it would without it.
 */
export type UpgradeDecision = 'upgrade' | 'plain' | undefined

/** Handles its own upgrades at a server. */
export interface UpgradeHandler {
  /** Called when Node.js decides whether to upgrade a request. Has no side effects, since it may be called more than once. */
  decide(req: IncomingMessage): UpgradeDecision
  /** Receives an upgrade for which {@link decide} returned `upgrade`. */
  handle(req: IncomingMessage, socket: Duplex, head: Buffer): void
  /** The server has closed, and its hook was removed. */
  serverClosed(server: Server): void
}

/** The property of a server that contains its hook. A registered symbol, so that the ESM and CommonJS copies of this package share it. */
const HOOK = Symbol.for('gradio-state.upgrade-hook')

type HookedServer = Server & { [HOOK]?: UpgradeHook }

/**
 * Adds a handler for upgrade requests of a server, before the handlers that were added earlier.
 * @returns a function that removes the handler
 */
export function hookUpgrades(server: Server, handler: UpgradeHandler): () => void {
  const hook = hookOf(server)
  hook.handlers.unshift(handler)
  return () => {
    const at = hook.handlers.indexOf(handler)
    if (at >= 0) hook.handlers.splice(at, 1)
    if (hook.handlers.length === 0) hook.remove()
  }
}

function hookOf(server: HookedServer): UpgradeHook {
  const known = server[HOOK]
  if (known !== undefined) return known
  const hook = new UpgradeHook(server)
  Object.defineProperty(server, HOOK, { value: hook, configurable: true })
  return hook
}

/**
 * Decides about upgrades at the place where Node.js does (lib/_http_server.js, `parserOnIncoming`), without an `upgrade` listener. With any
 * listener, Node.js upgrades requests that it would otherwise handle as plain ones, such as those of `curl --http2`. An upgraded request
 * can't be handed back, and it can't be determined which of the app's own listeners would have received it.
 *
 * Node.js calls `server.shouldUpgradeCallback(req)`, or in versions before 22.21 and 24.9 `server.listenerCount('upgrade')`, and then emits
 * the event. So these three methods of the server object are replaced.
 */
class UpgradeHook {
  /** The last added first. */
  readonly handlers: UpgradeHandler[] = []
  readonly #server: Server
  readonly #restore: (() => void)[]
  /** The request that Node.js is about to decide on. Only in versions that call `listenerCount`, which doesn't receive the request. */
  #parsed: ParsedRequest | undefined
  /** The upgrade that Node.js is about to emit, after a decision for a handler. */
  #decided: { readonly req: IncomingMessage; readonly handler: UpgradeHandler } | undefined
  #wasProbeReceived = false

  constructor(server: Server) {
    this.#server = server
    this.#restore = [
      replaceMethod(server, 'emit', (emit, self, given) => this.#emit(() => emit.apply(self, given), given)),
      replaceMethod(server, 'listenerCount', (count, self, given) => {
        return (given[0] === 'upgrade' ? this.#count() : undefined) ?? count.apply(self, given)
      }),
      'shouldUpgradeCallback' in server
        ? replaceMethod(server, 'shouldUpgradeCallback', (should, self, given) => {
            return this.#decide(given[0] as IncomingMessage) ?? should.apply(self, given)
          })
        : onRequestCreated(server, req => {
            this.#parsed = req
          }),
    ]
  }

  /** Restores the methods. One that another library has replaced since stays, and passes all calls on. */
  remove(): void {
    for (const restore of this.#restore.splice(0)) restore()
    const server: HookedServer = this.#server
    if (server[HOOK] === this) Reflect.deleteProperty(server, HOOK)
  }

  #emit(emit: () => unknown, [event, ...given]: unknown[]): unknown {
    const decided = this.#decided
    this.#decided = undefined
    this.#parsed = undefined
    if (event === 'upgrade') {
      const upgrade = given as Parameters<UpgradeHandler['handle']>
      const [req] = upgrade
      // No decision was made here for an upgrade that another server received and passes to this one.
      const handler = decided?.req === req ? decided.handler : this.#handlerOf(req)
      handler?.handle(...upgrade)
      return handler !== undefined || emit()
    }
    if (event === PROBE) this.#wasProbeReceived = true
    const hadListeners = emit()
    if (event === 'close') this.#notifyClose()
    return hadListeners
  }

  #notifyClose(): void {
    const handlers = this.handlers.splice(0)
    this.remove()
    for (const handler of handlers) handler.serverClosed(this.#server)
  }

  /** The result of `listenerCount('upgrade')`; `undefined`: that of the original method. */
  #count(): number | undefined {
    const req = this.#parsed
    this.#parsed = undefined
    // Node.js hasn't decided yet. A CONNECT request is always an upgrade.
    const isUndecided = req?.upgrade === true && req.method !== 'CONNECT'
    const isAccepted = isUndecided ? this.#decide(req) : undefined
    if (isAccepted !== undefined) return isAccepted ? 1 : 0
    // Newer versions check for listeners again before they emit the event.
    return this.#decided && 1
  }

  /** Whether Node.js has to upgrade the request; `undefined`: it decides as it would without this hook. */
  #decide(req: IncomingMessage): boolean | undefined {
    this.#decided = undefined
    if (this.handlers.length === 0) return undefined
    const handler = this.#handlerOf(req)
    if (handler === undefined)
      return this.handlers.some(other => other.decide(req) === 'plain') ? false : undefined
    this.#decided = { req, handler }
    if (this.#receivesEvents()) return true
    this.#decided = undefined
    return false
  }

  #handlerOf(req: IncomingMessage): UpgradeHandler | undefined {
    return this.handlers.find(handler => handler.decide(req) === 'upgrade')
  }

  /** Whether this hook will receive the event. If another library has replaced the methods since, an upgrade would reach no handler. */
  #receivesEvents(): boolean {
    this.#wasProbeReceived = false
    const decided = this.#decided
    this.#server.emit(PROBE)
    this.#decided = decided
    return this.#wasProbeReceived && this.#server.listenerCount('upgrade') > 0
  }
}

/** Not a symbol: code that logs event names may not expect one. */
const PROBE = 'gradio-state.probe'

/** Until Node.js has decided, `upgrade` is whether the headers request one. */
type ParsedRequest = IncomingMessage & { upgrade?: boolean | null }
type RequestClass = new (...given: unknown[]) => ParsedRequest

/**
 * Calls `listener` with each request object that the server's parser creates. Node.js reads the class from a symbol property of the server,
 * and an HTTP/2 server sets it again for each connection that falls back to HTTP/1.
 * @returns a function that removes the listener
 */
function onRequestCreated(server: Server, listener: (req: ParsedRequest) => void): () => void {
  // Not `createServer()`: tracing tools replace it, and would instrument this server.
  const property = Object.getOwnPropertySymbols(new Server()).find(
    symbol => symbol.description === 'IncomingMessage',
  )
  if (property === undefined) return () => {}
  const observed = (original: RequestClass | undefined) =>
    original &&
    new Proxy(original, {
      construct(target, given) {
        const req = new target(...given)
        listener(req)
        return req
      },
    })
  let original: RequestClass | undefined = Reflect.get(server, property)
  let replacement = observed(original)
  const get = () => replacement
  const set = (value: RequestClass | undefined) => {
    if (value !== original) replacement = observed(value)
    original = value
  }
  Reflect.defineProperty(server, property, { get, set, configurable: true, enumerable: true })
  return () => {
    if (Object.getOwnPropertyDescriptor(server, property)?.get !== get) return
    Reflect.deleteProperty(server, property)
    if (original !== undefined) Reflect.set(server, property, original)
  }
}
