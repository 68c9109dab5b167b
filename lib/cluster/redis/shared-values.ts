import { sessionEnded } from '../../errors.js'
import type {
  SharedValue,
  SharedValueStore,
  ValueClaim,
  WriteOptions,
  WriteResult,
} from '../../sessions/shared-value-store.js'
import type { Clock } from '../../util/clock.js'
import type { Claims } from './claims.js'
import { type Answers, delay, type Ended, type ValueCommand } from './protocol.js'
import type { SessionLinks } from './session-links.js'
import type { Shards } from './shards.js'

/** Stores shared values in Redis. */
export class RedisValues implements SharedValueStore {
  readonly #context: { readonly clock: Clock }
  readonly #links: SessionLinks
  readonly #shards: Shards
  readonly #claims: Claims

  constructor(context: { readonly clock: Clock }, links: SessionLinks, shards: Shards, claims: Claims) {
    this.#context = context
    this.#links = links
    this.#shards = shards
    this.#claims = claims
  }

  async read(token: string, id: string, name: string): Promise<SharedValue | undefined> {
    const answer = await this.#ask(token, id, 'read', name)
    if (answer.length === 0) return undefined
    const [version, data] = answer
    return { name, version, data }
  }

  async write(
    token: string,
    id: string,
    name: string,
    data: string,
    options: WriteOptions,
  ): Promise<WriteResult> {
    const { timeToLive, ifVersion = -1, claimReplaced = false } = options
    const askedAt = this.#context.clock.now()
    const args = [name, data, delay(timeToLive), ifVersion, claimReplaced]
    const [written, due = -1, replaced] = await this.#ask(token, id, 'write', ...args)
    const shard = this.#shards.of({ token })
    shard.noteDue(due)
    return { written: written === 1, replaced: replaced && this.#claims.fromValue(shard, replaced, askedAt) }
  }

  async touch(token: string, id: string, name: string, timeToLive: number): Promise<boolean> {
    const [isThere, due] = await this.#ask(token, id, 'touch', name, delay(timeToLive))
    this.#shards.of({ token }).noteDue(due)
    return isThere === 1
  }

  async delete(token: string, id: string, name: string): Promise<ValueClaim | undefined> {
    const askedAt = this.#context.clock.now()
    const [claim] = await this.#ask(token, id, 'delete', name)
    return claim && this.#claims.fromValue(this.#shards.of({ token }), claim, askedAt)
  }

  /** Sends a command again if the session's cluster id has changed since, as it may for a session that began without waiting. */
  async #ask<N extends ValueCommand>(
    token: string,
    id: string,
    command: N,
    ...args: unknown[]
  ): Promise<Exclude<Answers[N], Ended>> {
    const link = this.#links.find({ token, id })
    const shard = this.#shards.of({ token })
    const key = this.#links.keyOf(token)
    const clusterId = link?.clusterId ?? id
    let answer = await shard.ask(command, () => [key, clusterId, ...args])
    if (answer[0] === 'ENDED' && link !== undefined && link.clusterId !== clusterId)
      answer = await shard.ask(command, () => [key, link.clusterId, ...args])
    if (answer[0] === 'ENDED') throw sessionEnded()
    return answer as Exclude<Answers[N], Ended>
  }
}
