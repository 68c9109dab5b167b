import { setImmediate as turn } from 'node:timers/promises'
import type { Share } from '../../sessions/coordinator.js'
import type { Clock } from '../../util/clock.js'
import { away, type Connection } from './connection.js'
import { inTime, pause } from './in-time.js'
import {
  type Answers,
  BEAT,
  DEAD,
  type Held,
  type Message,
  type Order,
  type OrderName,
  PORTION,
} from './protocol.js'
import { type ResyncSite, resync } from './resync.js'
import { type Script, scripts } from './scripts/index.js'
import type { SessionLink } from './session-links.js'

/** What a shard needs to know of its coordinator. */
export interface ShardSite {
  readonly node: string
  readonly connection: Connection
  readonly clock: Clock
  readonly channel: string
  readonly secret: Buffer
  /** How long after a node is gone its sessions are unloaded and end, for the scripts. */
  readonly delays: readonly [string, string]
  /** What this node keeps in that shard. */
  shares(shard: Shard): (readonly [Share, SessionLink])[]
  /** Redis knows this node, and all that it keeps there. */
  joined(shard: Shard): void
  /** The answer to a share that was told. */
  held(share: Share, link: SessionLink, shard: Shard, answer: Held): void
  message(shard: Shard, message: Message): void
  /** The shard's {@link Shard.dueAt} has become earlier. */
  wake(): void
  /** The shard's {@link Shard.beatAt} has changed. */
  setBeat(): void
  /** The shard can't be asked, or can again. */
  isAway(shard: Shard, error: unknown): void
}

/**
 * One of the parts that Redis keeps the sessions in. What is asked in one turn goes out as one numbered batch. When a
 * number is not the next one, whatever the cause (Redis restarted, batches lost, this node taken for dead), the node
 * tells all that it keeps there, and goes on.
 */
export class Shard {
  readonly tag: string
  readonly #site: ShardSite
  #state: 'away' | 'joining' | 'joined' | 'closed' = 'joining'
  #batch = 0
  epoch = ''
  secret = ''
  #queue: Order[] = []
  #lost: { batch: number; orders: Order[] }[] = []
  /** The sessions of orders that were dropped since this node began to tell what it keeps. */
  #missed = new Set<string>()
  readonly #inFlight = new Set<Promise<void>>()
  #isFlushing = false
  #joining = false
  #beating: Promise<void> | undefined
  #beatsAgain = false
  /** How many messages the last beat has brought, which Redis still has. */
  #taken = 0
  #retry: (() => void) | undefined
  #aliveAt = Number.NEGATIVE_INFINITY
  /** On the node's clock: when something may be claimed, and when the next beat is due. */
  dueAt = Number.POSITIVE_INFINITY
  beatAt = Number.POSITIVE_INFINITY

  constructor(tag: string, site: ShardSite) {
    this.tag = tag
    this.#site = site
  }

  /** Sends an order, together with what else is asked in this turn. */
  send<N extends OrderName>(order: Order<N>): void {
    if (this.#state === 'away') {
      this.#missed.add(String(order.words()[1]))
      order.delayed?.()
      order.failed?.(away())
      if (order.failed !== undefined) return
    }
    this.#queue.push(order)
    if (this.#state === 'joined') this.#flushSoon()
  }

  /** Sends an order, and gives the answer. Rejects while Redis is away. */
  ask<N extends OrderName>(name: N, words: () => unknown[]): Promise<Answers[N]> {
    return new Promise((answered, failed) =>
      this.send<N>({ words: () => [name, ...words()], answered, failed }),
    )
  }

  /** Whether this node has given a heartbeat that the others still go by. */
  get isAlive(): boolean {
    return this.#site.clock.now() - this.#aliveAt < DEAD
  }

  /** Something is to be claimed in so many milliseconds; -1: nothing, as far as is known. */
  noteDue(delay: number): void {
    if (delay < 0) return
    const at = this.#site.clock.now() + delay
    // The next beat tells of what is due after it, and most of that is done before.
    if (at >= this.dueAt || at > this.beatAt) return
    this.dueAt = at
    this.#site.wake()
  }

  /** Gives a heartbeat, and takes the messages that have come. */
  async beat(): Promise<void> {
    if (this.#state !== 'joined') return
    this.#beatsAgain = this.#beating !== undefined
    this.#beating ??= this.#beatOnce()
    await this.#beating
  }

  /** Redis may be back. */
  retry(): void {
    this.#retry?.()
    if (this.#state === 'joining') void this.#join()
    else void this.beat()
  }

  /** Leaves this node's shares and work to the others. */
  async leave(): Promise<void> {
    const wasJoined = this.#state === 'joined'
    this.#flush()
    this.#state = 'closed'
    this.beatAt = this.dueAt = Number.POSITIVE_INFINITY
    this.#retry?.()
    await Promise.all(this.#inFlight)
    this.#fail(away())
    if (!wasJoined) return
    const { delays } = this.#site
    for (let left = 1; left > 0; )
      [left] = (await this.#run(scripts.leave, ...delays, String(PORTION))) as [number]
  }

  #flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    queueMicrotask(() => {
      this.#isFlushing = false
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#state === 'joined' && this.#queue.length > 0) {
      const sent = this.#send(this.#queue.splice(0, PORTION))
      this.#inFlight.add(sent)
      void sent.then(() => this.#inFlight.delete(sent))
    }
  }

  async #send(orders: Order[]): Promise<void> {
    const batch = ++this.#batch
    try {
      const words = orders.map(order => JSON.stringify(order.words()))
      const [outcome, ...answers] = await this.#run(scripts.apply, String(batch), ...words)
      if (outcome === 'OK') {
        for (const [index, order] of orders.entries()) order.answered(answers[index] as Answers[OrderName])
        return
      }
      this.#lost.push({ batch, orders })
      void this.#join()
    } catch (error) {
      this.#lost.push({ batch, orders })
      this.#left(error)
    }
  }

  async #beatOnce(): Promise<void> {
    try {
      do {
        this.#beatsAgain = false
        const { delays, clock } = this.#site
        const askedAt = clock.now()
        const [outcome, lapse, due, more, messages] = (await this.#run(
          scripts.beat,
          String(DEAD),
          String(PORTION),
          ...delays,
          String(this.#taken),
        )) as [string, number, number, number, string[]]
        if (outcome !== 'OK') {
          void this.#join()
          return
        }
        this.#aliveAt = askedAt
        // A little later than the others' lease, and not all nodes at once.
        const next = lapse < 0 ? BEAT : Math.min(BEAT, lapse + 20 + Math.random() * 100)
        this.beatAt = clock.now() + next
        this.noteDue(due)
        this.#taken = messages.length
        // What awaits earlier answers goes on first.
        if (messages.length > 0) await turn()
        for (const message of messages) this.#site.message(this, JSON.parse(message) as Message)
        this.#beatsAgain ||= more === 1
      } while (this.#beatsAgain && this.#state === 'joined')
      this.#site.setBeat()
    } catch (error) {
      this.#left(error)
    } finally {
      this.#beating = undefined
    }
  }

  /** Redis does not answer: what can't wait is told so. */
  #left(error: unknown): void {
    if (this.#state === 'closed') return
    this.#fail(error)
    void this.#join()
    this.#state = 'away'
    this.#site.isAway(this, error)
  }

  #fail(error: unknown): void {
    this.#recall()
    const orders = this.#queue
    this.#queue = orders.filter(({ failed }) => failed === undefined)
    for (const order of orders) {
      order.failed?.(error)
      order.delayed?.()
    }
  }

  /** What was sent in vain goes first, in the order in which it was. */
  #recall(): void {
    const lost = this.#lost.sort((one, other) => one.batch - other.batch).flatMap(({ orders }) => orders)
    this.#lost = []
    this.#queue.unshift(...lost)
  }

  async #join(): Promise<void> {
    if (this.#joining || this.#state === 'closed') return
    this.#joining = true
    if (this.#state === 'joined') this.#state = 'joining'
    this.beatAt = this.dueAt = Number.POSITIVE_INFINITY
    const isOver = () => (this.#state as string) === 'closed'
    for (let tries = 0; ; tries++) {
      await Promise.all(this.#inFlight)
      if (isOver()) return
      try {
        const askedAt = this.#site.clock.now()
        await resync(this.#resyncSite(), (...args) => this.#run(scripts.resync, ...args))
        if (this.#missed.size > 0) continue
        this.#aliveAt = askedAt
        this.#batch = this.#taken = 0
        this.#site.joined(this)
        break
      } catch (error) {
        if (isOver()) return
        this.#state = 'away'
        this.#fail(error)
        this.#site.isAway(this, error)
        const { over, end } = pause(this.#site.clock, Math.min(100 * 2 ** tries, 1_000))
        this.#retry = end
        await over
      }
    }
    this.#joining = false
    if (isOver()) return
    this.#state = 'joined'
    this.#recall()
    this.#flush()
    void this.beat()
  }

  #resyncSite(): ResyncSite {
    const { secret, delays, clock } = this.#site
    return {
      secret,
      delays,
      clock,
      own: isRest => {
        const missed = this.#missed
        this.#missed = new Set()
        if (isRest && missed.size === 0) return []
        return this.#site.shares(this).filter(([, { key }]) => !isRest || missed.has(key))
      },
      began: (epoch, shared) => {
        this.epoch = epoch
        this.secret = shared
      },
      held: (share, link, answer) => this.#site.held(share, link, this, answer),
    }
  }

  #run(script: Script, ...args: string[]): Promise<unknown[]> {
    const { connection, node, channel, clock } = this.#site
    return inTime(clock, connection.run(script, this.tag, [node, channel, ...args]))
  }
}
