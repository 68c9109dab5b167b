import { type IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { replaceMethod } from '../util/replace-method.js'

/**
 * What to do with an upgrade request: take it, or answer it as the plain request that it also is. `undefined`: it isn't
 * ours, and the server decides as it would by itself.
 */
export type Verdict = 'take' | 'plain' | undefined

/** Takes its own upgrades at a server. */
export interface UpgradeTaker {
  /** Asked where Node.js asks whether a request is to be upgraded. Has no effects: it may be asked more than once. */
  judge(req: IncomingMessage): Verdict
  /** Is given an upgrade that it has judged to be its own. */
  take(req: IncomingMessage, socket: Duplex, head: Buffer): void
  /** The server has closed, and its hook is gone. */
  released(server: Server): void
}

/** Under this name a server bears its hook, so that two copies of this package, or two instances, share one. */
const HOOK = Symbol.for('gradio-state.upgrade-hook')

type HookedServer = Server & { [HOOK]?: UpgradeHook }

/**
 * Has `taker` asked about each upgrade request at `server`, before those that were added earlier. Returns what takes it back.
 */
export function hookUpgrades(server: Server, taker: UpgradeTaker): () => void {
  const hook = hookOf(server)
  hook.takers.unshift(taker)
  return () => {
    const at = hook.takers.indexOf(taker)
    if (at >= 0) hook.takers.splice(at, 1)
    if (hook.takers.length === 0) hook.remove()
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
 * Decides about upgrades where Node.js asks (lib/_http_server.js, `parserOnIncoming`), without an `upgrade` listener. The mere
 * presence of one makes Node.js upgrade what it would answer, such as `curl --http2`; and once Node.js has upgraded, neither
 * can a request be handed back, nor can it be seen which of the app's own listeners would have been there.
 *
 * Node.js asks by `server.shouldUpgradeCallback(req)`, and before 22.21 and 24.9 by `server.listenerCount('upgrade') > 0`;
 * then it emits the event. So these three methods of the one server are replaced.
 */
class UpgradeHook {
  /** The newest first. */
  readonly takers: UpgradeTaker[] = []
  readonly #server: Server
  readonly #restore: (() => void)[]
  /** The request about which Node.js is going to ask, where its question doesn't name it. */
  #parsed: Parsed | undefined
  /** What Node.js was told to upgrade, and is going to emit. */
  #taken: { readonly req: IncomingMessage; readonly taker: UpgradeTaker } | undefined
  #isProbed = false

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
        : noteRequests(server, req => {
            this.#parsed = req
          }),
    ]
  }

  /** Puts the methods back, but for one that somebody else has replaced since: that one passes everything on. */
  remove(): void {
    for (const restore of this.#restore.splice(0)) restore()
    const server: HookedServer = this.#server
    if (server[HOOK] === this) Reflect.deleteProperty(server, HOOK)
  }

  #emit(emit: () => unknown, [event, ...given]: unknown[]): unknown {
    const taken = this.#taken
    this.#taken = undefined
    this.#parsed = undefined
    if (event === 'upgrade') {
      const upgrade = given as Parameters<UpgradeTaker['take']>
      const [req] = upgrade
      // Of one that another server was asked about, and that is handed over here, nobody has asked yet.
      const taker = taken?.req === req ? taken.taker : this.#takerOf(req)
      taker?.take(...upgrade)
      return taker !== undefined || emit()
    }
    if (event === PROBE) this.#isProbed = true
    const isHeard = emit()
    if (event === 'close') this.#release()
    return isHeard
  }

  #release(): void {
    const takers = this.takers.splice(0)
    this.remove()
    for (const taker of takers) taker.released(this.#server)
  }

  /** How many listeners there are, as far as that is for us to say. */
  #count(): number | undefined {
    const req = this.#parsed
    this.#parsed = undefined
    // It still has to be decided; with CONNECT it never is.
    const isQuestion = req?.upgrade === true && req.method !== 'CONNECT'
    const isTaken = isQuestion ? this.#decide(req) : undefined
    if (isTaken !== undefined) return isTaken ? 1 : 0
    // Newer versions look once more whether anybody will hear the event.
    return this.#taken && 1
  }

  /** Whether Node.js is to upgrade the request, if that is for us to say. */
  #decide(req: IncomingMessage): boolean | undefined {
    this.#taken = undefined
    if (this.takers.length === 0) return undefined
    const taker = this.#takerOf(req)
    if (taker === undefined)
      return this.takers.some(other => other.judge(req) === 'plain') ? false : undefined
    this.#taken = { req, taker }
    if (this.#isInPlace()) return true
    this.#taken = undefined
    return false
  }

  #takerOf(req: IncomingMessage): UpgradeTaker | undefined {
    return this.takers.find(taker => taker.judge(req) === 'take')
  }

  /** Whether the event will reach us: somebody else may have replaced the methods since. Else Node.js would emit it to nobody. */
  #isInPlace(): boolean {
    this.#isProbed = false
    const taken = this.#taken
    this.#server.emit(PROBE)
    this.#taken = taken
    return this.#isProbed && this.#server.listenerCount('upgrade') > 0
  }
}

/** Not a symbol, which would break who logs the names of events. */
const PROBE = 'gradio-state.probe'

/** `upgrade` is whether its headers ask for one, until Node.js has decided. */
type Parsed = IncomingMessage & { upgrade?: boolean | null }
type RequestClass = new (...given: unknown[]) => Parsed

/**
 * Has `note` called with each request as the server's parser makes it: Node.js finds the class under a symbol on the server,
 * and an HTTP/2 server sets it anew for each connection that falls back to HTTP/1. Returns what takes it back.
 */
function noteRequests(server: Server, note: (req: Parsed) => void): () => void {
  // Not by `createServer`: tracing tools replace it, and then the library would be at work inside of them.
  const name = Object.getOwnPropertySymbols(new Server()).find(each => each.description === 'IncomingMessage')
  if (name === undefined) return () => {}
  const noting = (original: RequestClass | undefined) =>
    original &&
    new Proxy(original, {
      construct(target, given) {
        const req = new target(...given)
        note(req)
        return req
      },
    })
  let original: RequestClass | undefined = Reflect.get(server, name)
  let replacement = noting(original)
  const get = () => replacement
  const set = (value: RequestClass | undefined) => {
    if (value !== original) replacement = noting(value)
    original = value
  }
  Reflect.defineProperty(server, name, { get, set, configurable: true, enumerable: true })
  return () => {
    if (Object.getOwnPropertyDescriptor(server, name)?.get !== get) return
    Reflect.deleteProperty(server, name)
    if (original !== undefined) Reflect.set(server, name, original)
  }
}
