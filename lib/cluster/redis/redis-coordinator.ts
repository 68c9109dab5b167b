import { randomBytes } from 'node:crypto'
import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../../errors.js'
import type {
  Admission,
  Claim,
  Coordinator,
  CoordinatorEvents,
  NodeContext,
  PageHint,
  Proposal,
  Reported,
  SessionClaim,
  SessionRef,
  Share,
} from '../../sessions/coordinator.js'
import type { EntryInit } from '../../sessions/entry.js'
import type { Reason } from '../../types.js'
import { type Clock, systemClock } from '../../util/clock.js'
import { type AgreedOptions, Agreement } from './agreement.js'
import { Claims } from './claims.js'
import { type ClientSource, Connection, unavailable } from './connection.js'
import { Entries } from './entries.js'
import { EventDispatcher } from './events.js'
import { delay, type Message, type ResyncAnswer } from './protocol.js'
import { type SessionLink, SessionLinks } from './session-links.js'
import type { Shard } from './shard.js'
import type { ShardContext } from './shard-context.js'
import { Shards } from './shards.js'
import { RedisValues } from './shared-values.js'

/** Implements {@link Coordinator} on Redis. */
export class RedisCoordinator implements Coordinator, ShardContext<Shard> {
  readonly values: RedisValues
  readonly node = uuid()
  readonly connection: Connection
  readonly channel: string
  clock: Clock = systemClock
  delays: readonly [string, string] = ['0', '0']
  /** The events of `connect`; `undefined` after `close`. */
  events: CoordinatorEvents | undefined
  readonly #links = new SessionLinks()
  readonly #shards: Shards
  readonly #claims: Claims
  readonly #entries: Entries
  readonly #dispatcher: EventDispatcher
  readonly #agreement = new Agreement(error => this.problem(error))
  #context: NodeContext | undefined
  #secret = randomBytes(32)
  #hasReported = false

  constructor(prefix: string, source: ClientSource) {
    this.channel = `${prefix}:`
    this.connection = new Connection(source, this.channel + this.node, {
      message: tag => void this.#shards.tagged(tag)?.beat(),
      ready: () => this.#retry(),
      error: error => this.#reportUnavailable(error),
    })
    this.#shards = new Shards(prefix, this, this.#links)
    this.#claims = new Claims(this, this.#links, this.#shards)
    this.#entries = new Entries(this, this.#links, this.#shards, this.#claims)
    this.#dispatcher = new EventDispatcher(this, this.#links, this.#claims)
    this.values = new RedisValues(this, this.#links, this.#shards, this.#claims)
  }

  get secret(): Buffer {
    return this.#secret
  }

  async connect(context: NodeContext, events: CoordinatorEvents): Promise<void> {
    this.#context = context
    this.events = events
    this.clock = context.clock
    this.delays = [String(delay(context.unloadDelay)), String(delay(context.gracePeriod))]
    // Commands before the first connection wait for it, at most this time.
    const cancel = this.clock.setTimer(() => this.#retry(), FIRST_CONNECTION)
    try {
      await this.connection.open()
    } finally {
      cancel()
    }
  }

  enter(session: Proposal, entry: EntryInit, create: true): Promise<Admission>
  enter(session: Proposal, entry: EntryInit, create: boolean): Promise<Admission | undefined>
  enter(session: Proposal, entry: EntryInit, create: boolean): Promise<Admission | undefined> {
    return this.#entries.enter(session, entry, create)
  }

  report(share: Share, leftPage?: string): Promise<Reported> {
    return this.#entries.report(share, leftPage)
  }

  expire(session: SessionRef, endIn: number): Promise<void> {
    return this.#entries.expire(session, endIn)
  }

  end(session: Share, reason: Reason): Promise<SessionClaim | undefined> {
    return this.#claims.end(this.#links.find(session) ?? this.#links.begin(session), session, reason)
  }

  claim(limit: number): Promise<Claim[]> {
    return this.#claims.claim(limit)
  }

  extend(claim: Claim): Promise<boolean> {
    return this.#claims.extend(claim)
  }

  complete(claim: Claim): Promise<boolean> {
    return this.#claims.complete(claim)
  }

  async goodbye(token: string, page: string, epoch: number | undefined, hint: PageHint): Promise<boolean> {
    const key = this.#links.keyOf(token)
    try {
      const args = [key, page, epoch ?? -1, hint ?? '']
      const [isDelivered] = await this.#shards.of({ token, key }).ask('goodbye', () => args)
      return isDelivered === 1
    } catch {
      // Then the page leaves when its connection closes, or its lease ends.
      return false
    }
  }

  isConfirmed(session: SessionRef): boolean {
    const link = this.#links.find(session)
    return link !== undefined && link.epoch !== '' && this.#shards.of(link).isAlive
  }

  async close(): Promise<void> {
    this.events = undefined
    await this.#shards.leave()
    await this.connection.close()
  }

  // The context of the shards:

  shares(shard: Shard): (readonly [Share, SessionLink])[] {
    return [...(this.#context?.shares() ?? [])]
      .map(share => [share, this.#links.find(share) ?? this.#links.begin(share)] as const)
      .filter(([, link]) => this.#shards.of(link) === shard)
  }

  get agreedOptions(): AgreedOptions {
    return this.#context?.options() ?? {}
  }

  compareOptions(others: readonly string[]): void {
    this.#agreement.compare(this.agreedOptions, others)
  }

  joined(shard: Shard): void {
    // All nodes use the secret of the first shard.
    if (shard === this.#shards.all[0]) this.#secret = Buffer.from(shard.secret, 'base64url')
  }

  resynced(share: Share, link: SessionLink, shard: Shard, answer: ResyncAnswer): void {
    this.#dispatcher.resynced(share, link, shard, answer)
  }

  message(shard: Shard, message: Message): void {
    this.#dispatcher.message(shard, message)
  }

  wake(): void {
    this.#claims.notifyDue()
  }

  setBeat(): void {
    this.#shards.setBeat()
  }

  problem(error: Error): void {
    this.events?.problem(error)
  }

  onUnavailable(_shard: Shard, error: unknown): void {
    this.#reportUnavailable(error)
  }

  // Internals:

  #retry(): void {
    this.#hasReported = false
    this.#shards.retry()
  }

  /** Emits one error per outage. */
  #reportUnavailable(error: unknown): void {
    if (this.#hasReported) return
    this.#hasReported = true
    this.problem(error instanceof GradioStateError ? error : unavailable(error))
  }
}

const FIRST_CONNECTION = 2_000
