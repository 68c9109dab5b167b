import type { Claim, SessionClaim } from '../../sessions/coordinator.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'
import type { ClaimAnswer, SessionAnswer, ValueAnswer } from './protocol.js'
import type { SessionLink } from './session-links.js'
import type { Shard } from './shard.js'

/** What is known of a claim beside what it says. */
export interface HeldClaim {
  readonly shard: Shard
  /** What Redis knows it by: phase, session, and id of the session or value. */
  readonly words: readonly [phase: string, key: string, id: string]
  /** A claim that took too long is handed out again, with another fence, also to the node that still has it. */
  newestFence: number
  /** When it was asked for, or for more time. */
  grantedAt: number
}

/** The claims that this node has: those that were fetched, and those that are being worked on. */
export class HandedOut {
  readonly #fetched: Claim[] = []
  readonly #held = new Map<string, HeldClaim>()
  readonly #byClaim = new WeakMap<Claim, HeldClaim>()

  /** How many were fetched and not yet taken. */
  get size(): number {
    return this.#fetched.length
  }

  find(claim: Claim): HeldClaim | undefined {
    return this.#byClaim.get(claim)
  }

  /** @param link leads to this node's session, if there is one */
  add(shard: Shard, answer: ClaimAnswer, grantedAt: number, link: SessionLink | undefined): void {
    const held = this.#held.get(wordsOf(answer).join(' '))
    if (held === undefined) {
      const claim =
        answer[0] === 'value'
          ? this.holdValue(shard, answer, grantedAt, link)
          : this.hold(shard, answer, grantedAt, link)
      this.#fetched.push(claim)
      return
    }
    held.newestFence = answer[4]
    held.grantedAt = grantedAt
  }

  /** The claim of an unload or end, from an answer. */
  hold(shard: Shard, answer: SessionAnswer, grantedAt: number, link: SessionLink | undefined): SessionClaim {
    const [phase, key, id, reason, fence, createdAt, load, isLoaded, hadPage, values] = answer
    return this.#hold(shard, answer, grantedAt, {
      token: link?.token ?? key,
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

  /** The claim of a shared value, from an answer. */
  holdValue(shard: Shard, answer: ValueAnswer, grantedAt: number, link: SessionLink | undefined): ValueClaim {
    const [phase, key, id, reason, fence, createdAt, name, version, data] = answer
    return this.#hold(shard, answer, grantedAt, {
      token: link?.token ?? key,
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

  take(limit: number): Claim[] {
    return this.#fetched.splice(0, limit)
  }

  drop({ words }: HeldClaim): void {
    this.#held.delete(words.join(' '))
  }

  /** The session has ended, and with it the claim of an unload. */
  doubt({ key, clusterId }: SessionLink): void {
    const held = this.#held.get(`unload ${key} ${clusterId}`)
    if (held !== undefined) held.grantedAt = Number.NEGATIVE_INFINITY
  }

  #hold<C extends Claim>(shard: Shard, answer: ClaimAnswer, grantedAt: number, claim: C): C {
    const words = wordsOf(answer)
    const held: HeldClaim = { shard, words, newestFence: claim.fence, grantedAt }
    this.#held.set(words.join(' '), held)
    this.#byClaim.set(claim, held)
    return claim
  }
}

function wordsOf(answer: ClaimAnswer): [string, string, string] {
  const [phase, key, id] = answer
  return [phase, key, answer[0] === 'value' ? `${id}:${answer[7]}` : id]
}
