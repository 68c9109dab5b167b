import type { Server } from 'node:http'
import type { SessionRequest } from '../identity/request-context.js'
import { warnOfReplacedInstance } from '../warnings.js'

/** An instance, as seen by the instances that are created later in the same process. */
interface Predecessor {
  /** When it was created, on the process's monotonic clock. */
  readonly createdAt: number
  /** Whether it has served requests at that address, and has a session with that token, or that page. */
  knows(address: Address, token: string | undefined, page: string | undefined): boolean
  /** Called when a later instance has replaced it. */
  replace(): void
}

/** Where a request was sent. */
interface Address {
  readonly host: string | undefined
  /** The path that the middleware is mounted on. */
  readonly base: string
}

/** The instances of each server. Shared by all copies of this package in the process. */
const INSTANCES = Symbol.for('gradio-state.instances')
const registry = globalThis as { [INSTANCES]?: WeakMap<Server, Set<Predecessor>> }

function instancesOf(server: Server): Set<Predecessor> {
  registry[INSTANCES] ??= new WeakMap()
  const instances = registry[INSTANCES].get(server) ?? new Set()
  registry[INSTANCES].set(server, instances)
  return instances
}

/** What it needs from its instance. */
export interface ReplacedInstancesContext {
  /** The token that a request has brought. */
  tokenOf(request: SessionRequest): string | undefined
  hasSession(token: string): boolean
  /** Whether any session has that page. */
  hasPage(page: string): boolean
  /** Closes the instance. */
  close(): void
}

/**
 * Closes instances that a later one has replaced. With hot reload, as in Vite, the module that creates the instance runs again, and nothing
 * closes the earlier instance. A request to the later instance shows this, if it comes from a user or page of the earlier one and has the
 * same address. So instances for several hosts or mount paths of one server don't replace each other.
 */
export class ReplacedInstances implements Predecessor {
  readonly createdAt = performance.now()
  readonly #context: ReplacedInstancesContext
  readonly #servers = new WeakSet<Server>()
  /** The lists that this instance is in, one for each server. */
  readonly #lists = new Set<Set<Predecessor>>()
  readonly #predecessors = new Set<Predecessor>()
  /** The hosts that requests have used, by mount path. */
  readonly #hosts = new Map<string, Set<string | undefined>>()
  #isReplaced = false
  #hasWarned = false

  constructor(context: ReplacedInstancesContext) {
    this.#context = context
  }

  /** This instance handles requests of that server. */
  join(server: Server): void {
    if (this.#servers.has(server)) return
    this.#servers.add(server)
    const list = instancesOf(server)
    for (const other of list) if (other.createdAt < this.createdAt) this.#predecessors.add(other)
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

/** How many hosts and mount paths are recorded. Instances at others are not closed when they are replaced. */
const MAX_ADDRESSES = 64
