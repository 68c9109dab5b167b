import type { Claim, SessionClaim } from '../../sessions/coordinator.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'
import type { ClaimAnswer, SessionAnswer, ValueAnswer } from './protocol.js'
import { parseScope, type SessionLink, tokenFrom } from './session-links.js'
import type { Shard } from './shard.js'

/** A claim's data for Redis. */
export interface ClaimRecord {
  readonly shard: Shard
  /** Identifies the claim in Redis: phase, session key, and id of the session or value. */
  readonly args: readonly [phase: string, key: string, id: string]
  /** A claim that timed out is granted again with a newer fence, possibly to the node that still works on it. */
  newestFence: number
  /** When this node sent the command that granted or extended it. */
  grantedAt: number
}

/** The claims of this node: those that were fetched, and those that are being executed. */
export class ClaimTable {
  readonly #fetched: Claim[] = []
  readonly #records = new Map<string, ClaimRecord>()
  readonly #byClaim = new WeakMap<Claim, ClaimRecord>()

  /** How many were fetched but not yet returned by {@link takeFetched}. */
  get size(): number {
    return this.#fetched.length
  }

  find(claim: Claim): ClaimRecord | undefined {
    return this.#byClaim.get(claim)
  }

  /** @param link the link of the local session, if there is one */
  addFetched(shard: Shard, answer: ClaimAnswer, grantedAt: number, link: SessionLink | undefined): void {
    const record = this.#records.get(refOf(answer).join(' '))
    if (record === undefined) {
      const claim =
        answer[0] === 'value'
          ? this.addValue(shard, answer, grantedAt, link)
          : this.addSession(shard, answer, grantedAt, link)
      this.#fetched.push(claim)
      return
    }
    record.newestFence = answer[4]
    record.grantedAt = grantedAt
  }

  /** Adds the claim of an unload or end. */
  addSession(
    shard: Shard,
    answer: SessionAnswer,
    grantedAt: number,
    link: SessionLink | undefined,
  ): SessionClaim {
    const [phase, key, id, reason, fence, createdAt, load, isLoaded, hadPage, values, , scope] = answer
    return this.#add(shard, answer, grantedAt, {
      ...refOfSession(key, scope, link),
      id: link?.id ?? id,
      phase,
      reason,
      fence,
      createdAt: Number(createdAt),
      load: Number(load),
      isLoaded: isLoaded === 1 && Number(load) !== link?.lostLoad,
      hadPage: hadPage === 1,
      values: values.map(([name, version, data]) => ({ name, version: Number(version), data })),
    })
  }

  /** Adds the claim of a shared value. */
  addValue(shard: Shard, answer: ValueAnswer, grantedAt: number, link: SessionLink | undefined): ValueClaim {
    const [phase, key, id, reason, fence, createdAt, name, version, data, scope] = answer
    return this.#add(shard, answer, grantedAt, {
      ...refOfSession(key, scope, link),
      sessionId: link?.id ?? id,
      phase,
      reason,
      fence,
      createdAt: Number(createdAt),
      name,
      version: Number(version),
      data,
    })
  }

  takeFetched(limit: number): Claim[] {
    return this.#fetched.splice(0, limit)
  }

  remove({ args }: ClaimRecord): void {
    this.#records.delete(args.join(' '))
  }

  /** The session has ended, so the claim of its unload may be lost: asks Redis before it is used. */
  invalidate({ key, clusterId }: SessionLink): void {
    const record = this.#records.get(`unload ${key} ${clusterId}`)
    if (record !== undefined) record.grantedAt = Number.NEGATIVE_INFINITY
  }

  #add<C extends Claim>(shard: Shard, answer: ClaimAnswer, grantedAt: number, claim: C): C {
    const args = refOf(answer)
    const record: ClaimRecord = { shard, args, newestFence: claim.fence, grantedAt }
    this.#records.set(args.join(' '), record)
    this.#byClaim.set(claim, record)
    return claim
  }
}

function refOfSession(key: string, scope: string, link: SessionLink | undefined) {
  const ref = parseScope(scope)
  const { parentId } = ref
  return { token: link?.token ?? tokenFrom(key, ref), ...(parentId !== undefined && { parentId }) }
}

function refOf(answer: ClaimAnswer): [string, string, string] {
  const [phase, key, id] = answer
  return [phase, key, answer[0] === 'value' ? `${id}:${answer[7]}` : id]
}
