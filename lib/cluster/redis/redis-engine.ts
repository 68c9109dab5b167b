import { randomBytes } from 'node:crypto'
import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../../errors.js'
import type {
  Arrival,
  Claim,
  Departure,
  EndReason,
  Engine,
  EngineContext,
  EngineEvents,
  Holder,
  Life,
  MaybePromise,
} from '../../sessions/engine.js'
import type { SharedValueStore, ValueClaim } from '../../sessions/shared-value-store.js'
import { type Clock, systemClock } from '../../util/clock.js'
import { Claims } from './claims.js'
import { away, type ClientSource, Connection } from './connection.js'
import { Holders } from './holders.js'
import { Messages } from './messages.js'
import { keyOf, type Part } from './part.js'
import { Parts } from './parts.js'
import { type Announced, delay } from './protocol.js'
import { RedisValues } from './redis-values.js'
import type { Shard, ShardSite } from './shard.js'
import { Shards } from './shards.js'

/** The engine that several nodes share. What this node holds it knows itself, and the others by Redis. */
export class RedisEngine implements Engine, ShardSite {
  readonly isShared = true
  readonly values: SharedValueStore
  readonly node = uuid()
  readonly connection: Connection
  readonly channel: string
  clock: Clock = systemClock
  departure: Departure = { unloadIn: 0, endIn: 0 }
  /** Those that the engine was started with; `undefined` once it is closed. */
  events: EngineEvents | undefined
  readonly #parts = new Parts()
  readonly #shards: Shards
  readonly #holders: Holders
  readonly #claims: Claims
  readonly #messages: Messages
  #secret = randomBytes(32)
  #saidAway = false

  constructor(prefix: string, source: ClientSource) {
    this.channel = `${prefix}:`
    this.connection = new Connection(source, this.channel + this.node, {
      message: tag => void this.#shards.tagged(tag)?.beat(),
      ready: () => this.#retry(),
      error: error => this.#sayAway(error),
    })
    this.#shards = new Shards(prefix, this, this.#parts)
    this.#holders = new Holders(this, this.#parts, this.#shards)
    this.#claims = new Claims(this, this.#parts, this.#shards)
    this.#messages = new Messages(this, this.#parts, this.#holders, this.#claims)
    this.values = new RedisValues(this.#parts, this.#shards, this.#claims)
  }

  get secret(): Buffer {
    return this.#secret
  }

  async start(events: EngineEvents, { clock, departure }: EngineContext): Promise<void> {
    this.events = events
    this.clock = clock
    this.departure = departure
    // What comes before the first connection waits for it, so long.
    const cancel = clock.setTimer(() => this.#retry(), FIRST_CONNECTION)
    try {
      await this.connection.open()
    } finally {
      cancel()
    }
  }

  open(token: string, holder: Holder, arrival: Arrival): MaybePromise<Life | undefined> {
    return this.#holders.open(token, holder, arrival)
  }

  release(token: string, holder: Holder, departure: Departure): MaybePromise<void> {
    return this.#holders.release(token, holder, departure)
  }

  end(token: string, life: string, reason: EndReason): Promise<Claim | undefined> {
    return this.#claims.end(token, life, reason)
  }

  async expire(token: string, life: string, endIn: number): Promise<void> {
    const part = this.#parts.find(token, life)
    if (part === undefined) return
    part.isExpired = true
    const shard = this.#shards.of(token)
    await new Promise<void>(resolve => {
      shard.send({
        words: ['expire', part.key, part.shared, delay(endIn)],
        answered: ([due]) => {
          shard.noteDue(due ?? -1)
          resolve()
        },
        delayed: resolve,
      })
    })
  }

  nextDue(): number | undefined {
    return this.#claims.nextDue()
  }

  claim(limit: number): Promise<(Claim | ValueClaim)[]> {
    return this.#claims.claim(limit)
  }

  renew(claim: Claim | ValueClaim): MaybePromise<boolean> {
    return this.#claims.renew(claim)
  }

  settle(claim: Claim | ValueClaim): Promise<boolean> {
    return this.#claims.settle(claim)
  }

  async goodbye(token: string, page: string, epoch: number | undefined): Promise<boolean> {
    try {
      const [isTold] = await this.#shards.of(token).ask('goodbye', keyOf(token), page, epoch ?? -1)
      return isTold === 1
    } catch {
      // Then the page leaves by the end of its connection, or of its lease.
      return false
    }
  }

  async close(): Promise<void> {
    await this.#shards.leave()
    this.events = undefined
    await this.connection.close()
  }

  // What the shards are given:

  parts(shard: Shard): Part[] {
    return this.#parts.begun().filter(({ token }) => this.#shards.of(token) === shard)
  }

  joined(shard: Shard): void {
    // One shard's has to do for all.
    if (shard === this.#shards.all[0]) this.#secret = Buffer.from(shard.secret, 'base64url')
  }

  announced(part: Part, shard: Shard, answer: Announced): void {
    this.#messages.announced(part, shard, answer)
  }

  message(shard: Shard, message: string[]): void {
    this.#messages.heard(shard, message)
  }

  wake(): void {
    this.events?.wake()
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
