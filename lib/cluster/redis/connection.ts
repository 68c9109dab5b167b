import { GradioStateError } from '../../errors.js'
import { isUnavailable } from '../../sessions/cluster-unavailable.js'
import type { Script } from './scripts/index.js'

/** The part used here of a client of node-redis 4.2 or later, or of its cluster client 6 or later. */
export interface RedisClient {
  readonly isOpen: boolean
  readonly isReady: boolean
  connect(): Promise<unknown>
  duplicate(): RedisClient
  /** Closes immediately, in version 5 and later. */
  destroy?(): void
  /** Closes immediately, in version 4. */
  disconnect?(): Promise<unknown>
  eval(script: string, options: ScriptOptions): Promise<unknown>
  evalSha(sha1: string, options: ScriptOptions): Promise<unknown>
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  on(event: string, listener: (...args: unknown[]) => void): unknown
  off(event: string, listener: (...args: unknown[]) => void): unknown
}

export interface ScriptOptions {
  keys: string[]
  arguments: string[]
}

/** Returns the client, which need not be connected. */
export type ClientSource = () => Promise<{ client: RedisClient; isOwn: boolean }>

/** The connection to Redis. Fails fast during an outage: commands in a client's offline queue would be executed too late. */
export class Connection {
  readonly #source: ClientSource
  readonly #channel: string
  readonly #onMessage: (message: string) => void
  readonly #onReady: () => void
  readonly #onError: (error: unknown) => void
  #client: RedisClient | undefined
  #subscriber: RedisClient | undefined
  #isOwn = false
  #isClosed = false

  /**
   * @param onReady called whenever Redis is available again
   * @param onError called with the client's errors
   */
  constructor(
    source: ClientSource,
    channel: string,
    on: { message: (message: string) => void; ready: () => void; error: (error: unknown) => void },
  ) {
    this.#source = source
    this.#channel = channel
    this.#onMessage = on.message
    this.#onReady = on.ready
    this.#onError = on.error
  }

  get isReady(): boolean {
    return this.#client?.isReady === true
  }

  async open(): Promise<void> {
    const { client, isOwn } = await this.#source()
    if (this.#isClosed) return
    this.#client = client
    this.#isOwn = isOwn
    client.on('ready', this.#ready)
    // Without a listener, an `error` event of node-redis would crash the process.
    client.on('error', this.#failed)
    // With RESP 2, a subscribed connection can't send other commands. A cluster client has a separate one for subscriptions.
    this.#subscriber = 'masters' in client ? client : client.duplicate()
    if (this.#subscriber !== client) this.#subscriber.on('error', this.#failed)
    // Both clients reconnect by themselves, and report failures by `error` events.
    const connecting = [...new Set([client, this.#subscriber])].map(async each => {
      if (!each.isOpen) await each.connect()
    })
    await Promise.all(connecting)
    if (this.#isClosed) return
    await this.#subscriber.subscribe(this.#channel, this.#onMessage)
    this.#onReady()
  }

  /** Runs a script in the cluster slot of `tag`. */
  async run(script: Script, tag: string, args: string[]): Promise<unknown[]> {
    const client = this.#client
    if (!client?.isReady) throw unavailable()
    const options = { keys: [tag], arguments: args }
    try {
      return (await client.evalSha(script.sha, options)) as unknown[]
    } catch (error) {
      if (!String((error as Error).message).startsWith('NOSCRIPT')) throw error
      return (await client.eval(script.source, options)) as unknown[]
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const client = this.#client
    const subscriber = this.#subscriber
    client?.off('ready', this.#ready)
    if (subscriber === client) await client?.unsubscribe(this.#channel).catch(() => {})
    else if (subscriber?.isOpen) await closeNow(subscriber)
    if (!this.#isOwn) client?.off('error', this.#failed)
    else if (client?.isOpen) await closeNow(client)
  }

  readonly #ready = () => this.#onReady()
  readonly #failed = (error: unknown) => this.#onError(error)
}

async function closeNow(client: RedisClient): Promise<void> {
  if (client.destroy !== undefined) client.destroy()
  else await client.disconnect?.()
}

export function unavailable(cause?: unknown): GradioStateError {
  if (isUnavailable(cause)) return cause
  return new GradioStateError(
    'CLUSTER_UNAVAILABLE',
    'Expected Redis to answer, but it is unavailable. Local values still work, and nothing is deleted. Try again later.',
    ...(cause === undefined ? [] : [{ cause }]),
  )
}
