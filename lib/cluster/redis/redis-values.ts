import { GradioStateError } from '../../errors.js'
import type {
  SharedValue,
  SharedValueStore,
  ValueClaim,
  Writing,
  Written,
} from '../../sessions/shared-value-store.js'
import type { Claims } from './claims.js'
import { keyOf } from './part.js'
import type { Parts } from './parts.js'
import { type Answers, delay, type Ended, type ValueOrder } from './protocol.js'
import type { Shards } from './shards.js'

/** The shared values, in Redis. */
export class RedisValues implements SharedValueStore {
  readonly #parts: Parts
  readonly #shards: Shards
  readonly #claims: Claims

  constructor(parts: Parts, shards: Shards, claims: Claims) {
    this.#parts = parts
    this.#shards = shards
    this.#claims = claims
  }

  async read(token: string, life: string, name: string): Promise<SharedValue | undefined> {
    const answer = await this.#ask(token, life, 'read', name)
    if (answer.length === 0) return undefined
    const [version, data] = answer
    return { name, version, data }
  }

  async write(token: string, life: string, name: string, data: string, how: Writing): Promise<Written> {
    const { timeToLive, over = -1, claimReplaced = false } = how
    const ttl = delay(timeToLive)
    const [written, due, replaced] = await this.#ask(
      token,
      life,
      'write',
      name,
      data,
      ttl,
      over,
      claimReplaced,
    )
    this.#shards.of(token).noteDue(due ?? -1)
    return {
      written: written === 1,
      replaced: replaced && this.#claims.ofValue(token, replaced),
    }
  }

  async touch(token: string, life: string, name: string, timeToLive: number): Promise<boolean> {
    const [isThere, due] = await this.#ask(token, life, 'touch', name, delay(timeToLive))
    this.#shards.of(token).noteDue(due)
    return isThere === 1
  }

  async delete(token: string, life: string, name: string): Promise<ValueClaim | undefined> {
    const [claim] = await this.#ask(token, life, 'delete', name)
    return claim && this.#claims.ofValue(token, claim)
  }

  /** Of a life that was begun without waiting, the name may be another one by the time of the answer. */
  async #ask<N extends ValueOrder>(
    token: string,
    life: string,
    order: N,
    ...words: unknown[]
  ): Promise<Exclude<Answers[N], Ended>> {
    const part = this.#parts.find(token, life)
    const shared = part?.shared ?? life
    const shard = this.#shards.of(token)
    let answer = await shard.ask(order, keyOf(token), shared, ...words)
    if (answer[0] === 'ENDED' && part !== undefined && part.shared !== shared)
      answer = await shard.ask(order, keyOf(token), part.shared, ...words)
    if (answer[0] === 'ENDED') throw ended()
    return answer as Exclude<Answers[N], Ended>
  }
}

function ended(): GradioStateError {
  return new GradioStateError(
    'SESSION_ENDED',
    'Expected a session that lives, got one that has ended. The next request of its user begins a new one.',
  )
}
