import type { Claim, EndReason, EngineEvents, MaybePromise } from '../../sessions/engine.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'
import type { Clock } from '../../util/clock.js'
import { HandedOut, type HeldClaim } from './handed-out.js'
import type { Part } from './part.js'
import type { Parts } from './parts.js'
import type { ClaimAnswer, EndAnswer, ValueAnswer } from './protocol.js'
import type { Shard } from './shard.js'
import type { Shards } from './shards.js'

/** What the claims need of their engine. */
export interface ClaimsSite {
  readonly clock: Clock
  readonly events: EngineEvents | undefined
}

/** What this node is to do for sessions, and nobody else: fetched from Redis when it is due, kept, and settled. */
export class Claims {
  readonly #site: ClaimsSite
  readonly #parts: Parts
  readonly #shards: Shards
  readonly #handedOut = new HandedOut()

  constructor(site: ClaimsSite, parts: Parts, shards: Shards) {
    this.#site = site
    this.#parts = parts
    this.#shards = shards
  }

  end(token: string, life: string, reason: EndReason): Promise<Claim | undefined> {
    const shard = this.#shards.of(token)
    const part = this.#parts.find(token, life)
    if (part === undefined) return Promise.resolve(undefined)
    this.forget(part)
    const { epoch } = shard
    const askedAt = this.#site.clock.now()
    return new Promise(resolve => {
      let isLate = false
      // While Redis is away, only what is here can end; the rest follows as a claim when it is back.
      const delayed = () => {
        isLate = true
        resolve(undefined)
      }
      shard.send({
        words: ['end', part.key, part.shared, reason],
        answered: answer => {
          const found = answer.length !== 0 ? answer : shard.epoch === epoch ? undefined : endOf(part, reason)
          if (found === undefined) resolve(undefined)
          else if (isLate) this.#take(shard, found, askedAt)
          else resolve(this.#handedOut.hold(shard, found, askedAt, part) as Claim)
        },
        delayed,
      })
    })
  }

  nextDue(): number | undefined {
    if (this.#handedOut.size > 0) return this.#site.clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#shards.all) if (dueAt < next) next = dueAt
    return next === Number.POSITIVE_INFINITY ? undefined : next
  }

  async claim(limit: number): Promise<(Claim | ValueClaim)[]> {
    const now = this.#site.clock.now()
    const due = this.#shards.all.filter(({ dueAt }) => dueAt <= now)
    const each = Math.max(Math.floor((limit - this.#handedOut.size) / Math.max(due.length, 1)), 1)
    await Promise.all(due.map(shard => this.#claimOf(shard, each)))
    return this.#handedOut.take(limit)
  }

  renew(claim: Claim | ValueClaim): MaybePromise<boolean> {
    const held = claim as unknown as HeldClaim
    // Nobody else can have it yet, as Redis has it given not earlier than this node asked.
    if (this.#site.clock.now() - held.grantedAt < SURE) return true
    return this.#renew(held)
  }

  settle(claim: Claim | ValueClaim): Promise<boolean> {
    const held = claim as unknown as HeldClaim
    const { shard, words } = held
    const part = this.#parts.byShared(words[2])
    if (claim.phase === 'unload' && part !== undefined) part.isUnloaded = true
    return new Promise(resolve => {
      shard.send({
        words: ['settle', ...words, held.newestFence],
        answered: ([isDone, due]) => {
          this.#handedOut.drop(held)
          shard.noteDue(due ?? -1)
          resolve(isDone === 1)
        },
        // While Redis is away, it is settled later: what is done must not be claimed again.
        delayed: () => resolve(false),
      })
    })
  }

  /** The claim of a shared value, from the answer to another order than `claim`. */
  ofValue(token: string, answer: ValueAnswer): ValueClaim {
    const part = this.#parts.get(token)
    const now = this.#site.clock.now()
    return this.#handedOut.hold(this.#shards.of(token), answer, now, part) as ValueClaim
  }

  /** The life has ended, and with it what this node has of it. */
  forget(part: Part): void {
    this.#parts.forget(part)
    this.#handedOut.doubt(part.key, part.shared)
  }

  async #claimOf(shard: Shard, limit: number): Promise<void> {
    shard.dueAt = Number.POSITIVE_INFINITY
    const askedAt = this.#site.clock.now()
    try {
      const [due, ...claims] = await shard.ask('claim', limit)
      shard.noteDue(due)
      for (const claim of claims) this.#take(shard, claim, askedAt)
    } catch {
      // Its beat tells what is due when it is back.
    }
  }

  #take(shard: Shard, claim: ClaimAnswer, askedAt: number): void {
    const [phase, , life] = claim
    const part = this.#parts.byShared(life)
    if (phase === 'end' && part !== undefined) this.forget(part)
    // Where nothing is here, it may be that this node has just ended it, and with it the claim.
    this.#handedOut.add(shard, claim, part === undefined ? Number.NEGATIVE_INFINITY : askedAt, part)
    this.#site.events?.wake()
  }

  async #renew(held: HeldClaim): Promise<boolean> {
    const askedAt = this.#site.clock.now()
    try {
      const [isKept] = await held.shard.ask('renew', ...held.words, held.newestFence)
      if (isKept === 1) held.grantedAt = askedAt
      else this.#handedOut.drop(held)
      return isKept === 1
    } catch {
      this.#handedOut.drop(held)
      return false
    }
  }
}

/** The claim of an end that Redis has lost, with all that it knew of the session. */
function endOf({ key, shared, createdAt, load, isUnloaded, hadPage }: Part, reason: EndReason): EndAnswer {
  return ['end', key, shared, reason, 0, createdAt, load, isUnloaded ? 0 : 1, hadPage ? 1 : 0, []]
}

/** For how long a claim is surely this node's, which is less than the time after which others may have it. */
const SURE = 5_000
