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
import { Claims } from './claims.js'
import { away, type ClientSource, Connection } from './connection.js'
import { Entries } from './entries.js'
import { Events } from './events.js'
import { delay, type Held, type Message } from './protocol.js'
import { type SessionLink, SessionLinks } from './session-links.js'
import type { Shard, ShardSite } from './shard.js'
import { Shards } from './shards.js'
import { RedisValues } from './shared-values.js'

/** The coordinator on Redis. */
export class RedisCoordinator implements Coordinator, ShardSite {
  readonly values: RedisValues
  readonly node = uuid()
  readonly connection: Connection
  readonly channel: string
  clock: Clock = systemClock
  delays: readonly [string, string] = ['0', '0']
  /** Those of `connect`; `undefined` once this node is closed. */
  events: CoordinatorEvents | undefined
  readonly #links = new SessionLinks()
  readonly #shards: Shards
  readonly #claims: Claims
  readonly #entries: Entries
  readonly #heard: Events
  #context: NodeContext | undefined
  #secret = randomBytes(32)
  #saidAway = false

  constructor(prefix: string, source: ClientSource) {
    this.channel = `${prefix}:`
    this.connection = new Connection(source, this.channel + this.node, {
      message: tag => void this.#shards.tagged(tag)?.beat(),
      ready: () => this.#retry(),
      error: error => this.#sayAway(error),
    })
    this.#shards = new Shards(prefix, this, this.#links)
    this.#claims = new Claims(this, this.#links, this.#shards)
    this.#entries = new Entries(this, this.#links, this.#shards, this.#claims)
    this.#heard = new Events(this, this.#links, this.#claims)
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
    // What comes before the first connection waits for it, so long.
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
      const words = [key, page, epoch ?? -1, hint ?? '']
      const [isTold] = await this.#shards.of({ token, key }).ask('goodbye', () => words)
      return isTold === 1
    } catch {
      // Then the page leaves by the end of its connection, or of its lease.
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

  // What the shards are given:

  shares(shard: Shard): (readonly [Share, SessionLink])[] {
    return [...(this.#context?.shares() ?? [])]
      .map(share => [share, this.#links.find(share) ?? this.#links.begin(share)] as const)
      .filter(([, link]) => this.#shards.of(link) === shard)
  }

  joined(shard: Shard): void {
    // One shard's has to do for all.
    if (shard === this.#shards.all[0]) this.#secret = Buffer.from(shard.secret, 'base64url')
  }

  held(share: Share, link: SessionLink, shard: Shard, answer: Held): void {
    this.#heard.held(share, link, shard, answer)
  }

  message(shard: Shard, message: Message): void {
    this.#heard.heard(shard, message)
  }

  wake(): void {
    this.#claims.tellDue()
  }

  setBeat(): void {
    this.#shards.setBeat()
  }

  isAway(_shard: Shard, error: unknown): void {
    this.#sayAway(error)
  }

  // Within:

  #retry(): void {
    this.#saidAway = false
    this.#shards.retry()
  }

  /** Once an outage. */
  #sayAway(error: unknown): void {
    if (this.#saidAway) return
    this.#saidAway = true
    this.events?.problem(error instanceof GradioStateError ? error : away(error))
  }
}

const FIRST_CONNECTION = 2_000
