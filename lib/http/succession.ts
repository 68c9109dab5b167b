import type { Server } from 'node:http'
import type { SessionRequest } from '../identity/request-context.js'
import { warnOfReplacedInstance } from '../warnings.js'

/** An instance, for those that are made later in the same process. */
interface Predecessor {
  /** When it was made, on the process's monotonic clock. */
  readonly madeAt: number
  /** Whether it has served requests at that address, and has a session with that token, or that page. */
  knows(address: Address, token: string | undefined, page: string | undefined): boolean
  /** A later instance has taken its place. */
  replace(): void
}

/** Where a request was sent. */
interface Address {
  readonly host: string | undefined
  /** The path that the middleware is mounted on. */
  readonly base: string
}

/** The instances of each server, for all copies of this package: those that are ES modules and CommonJS. */
const INSTANCES = Symbol.for('gradio-state.instances')
const registry = globalThis as { [INSTANCES]?: WeakMap<Server, Set<Predecessor>> }

function instancesOf(server: Server): Set<Predecessor> {
  registry[INSTANCES] ??= new WeakMap()
  const instances = registry[INSTANCES].get(server) ?? new Set()
  registry[INSTANCES].set(server, instances)
  return instances
}

/** What the succession needs from its instance. */
export interface SuccessionContext {
  /** The token that a request has brought. */
  tokenOf(request: SessionRequest): string | undefined
  hasSession(token: string): boolean
  /** Whether any session has that page. */
  hasPage(page: string): boolean
  /** Closes the instance. */
  close(): void
}

/**
 * Closes instances that a later one has replaced: with hot reload, as in Vite, the module that makes the instance runs again, and nobody
 * closes the former one. A request for the later instance shows it, if it comes from a user or page of the former one and to the same address.
 * So instances for several hosts or mount paths of one server don't replace each other.
 */
export class Succession implements Predecessor {
  readonly madeAt = performance.now()
  readonly #context: SuccessionContext
  readonly #servers = new WeakSet<Server>()
  /** The lists that this instance is in, one for each server. */
  readonly #lists = new Set<Set<Predecessor>>()
  readonly #predecessors = new Set<Predecessor>()
  /** The hosts by mount path, as far as requests have shown them. */
  readonly #hosts = new Map<string, Set<string | undefined>>()
  #isReplaced = false
  #hasWarned = false

  constructor(context: SuccessionContext) {
    this.#context = context
  }

  /** This instance handles requests of that server. */
  join(server: Server): void {
    if (this.#servers.has(server)) return
    this.#servers.add(server)
    const list = instancesOf(server)
    for (const other of list) if (other.madeAt < this.madeAt) this.#predecessors.add(other)
    list.add(this)
    this.#lists.add(list)
  }

  /** A request for this instance has arrived. */
  note(request: SessionRequest): void {
    const { base, req } = request
    const { host } = req.headers
    const hosts = this.#hosts.get(base) ?? new Set()
    if (hosts.size < MAX_ADDRESSES) hosts.add(host)
    if (this.#hosts.size < MAX_ADDRESSES) this.#hosts.set(base, hosts)
    if (this.#predecessors.size > 0) this.#replacePredecessors(request)
    if (this.#isReplaced && !this.#hasWarned) {
      this.#hasWarned = true
      warnOfReplacedInstance()
    }
  }

  knows({ host, base }: Address, token: string | undefined, page: string | undefined): boolean {
    if (this.#hosts.get(base)?.has(host) !== true) return false
    const { hasSession, hasPage } = this.#context
    return (token !== undefined && hasSession(token)) || (page !== undefined && hasPage(page))
  }

  replace(): void {
    this.#isReplaced = true
    this.#context.close()
  }

  /** The instance closes. */
  leave(): void {
    for (const list of this.#lists) list.delete(this)
    this.#lists.clear()
    this.#predecessors.clear()
  }

  #replacePredecessors(request: SessionRequest): void {
    const { url = '', headers } = request.req
    const address = { host: headers.host, base: request.base }
    const token = this.#context.tokenOf(request)
    const page = /\/(?:heartbeat|pagehide)\/([\w-]{1,64})/.exec(url)?.[1]
    for (const predecessor of this.#predecessors) {
      if (!predecessor.knows(address, token, page)) continue
      this.#predecessors.delete(predecessor)
      predecessor.replace()
    }
  }
}

/** Of how many hosts and mount paths requests are noted. Instances at others are not closed when they are replaced. */
const MAX_ADDRESSES = 64
