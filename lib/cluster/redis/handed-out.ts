import type { Claim } from '../../sessions/engine.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'
import type { Part } from './part.js'
import type { ClaimAnswer } from './protocol.js'
import type { Shard } from './shard.js'

/** A claim as this engine knows it again. */
export interface HeldClaim {
  readonly shard: Shard
  /** What Redis knows it by: phase, session, and life or value. */
  readonly words: readonly [phase: string, key: string, id: string]
  /** A claim that took too long is handed out again, with another fence, also to the node that still has it. */
  newestFence: number
  /** When it was asked for, or for more time. */
  grantedAt: number
}

type AnyClaim = (Claim | ValueClaim) & HeldClaim

/** The claims that this node has: those that were fetched, and those that are being worked on. */
export class HandedOut {
  readonly #fetched: AnyClaim[] = []
  readonly #held = new Map<string, AnyClaim>()

  /** How many were fetched and not yet taken. */
  get size(): number {
    return this.#fetched.length
  }

  /** @param part what this node has of the session, if anything */
  add(shard: Shard, answer: ClaimAnswer, grantedAt: number, part: Part | undefined): void {
    const claim = this.#known(answer, grantedAt)
    if (claim === undefined) this.#fetched.push(this.hold(shard, answer, grantedAt, part))
  }

  /** A claim from an answer to another order than `claim`. */
  hold(shard: Shard, answer: ClaimAnswer, grantedAt: number, part: Part | undefined): AnyClaim {
    const claim = toClaim(shard, answer, grantedAt, part)
    this.#held.set(claim.words.join(' '), claim)
    return claim
  }

  take(limit: number): AnyClaim[] {
    return this.#fetched.splice(0, limit)
  }

  drop({ words }: HeldClaim): void {
    this.#held.delete(words.join(' '))
  }

  /** The life has ended, and with it the claim of an unload. */
  doubt(key: string, life: string): void {
    const held = this.#held.get(`unload ${key} ${life}`)
    if (held !== undefined) held.grantedAt = Number.NEGATIVE_INFINITY
  }

  #known(answer: ClaimAnswer, grantedAt: number): AnyClaim | undefined {
    const held = this.#held.get(wordsOf(answer).join(' '))
    if (held !== undefined) {
      held.newestFence = answer[4]
      held.grantedAt = grantedAt
    }
    return held
  }
}

function wordsOf(answer: ClaimAnswer): [string, string, string] {
  const [phase, key, life] = answer
  return [phase, key, answer[0] === 'value' ? `${life}:${answer[7]}` : life]
}

function toClaim(shard: Shard, answer: ClaimAnswer, grantedAt: number, part: Part | undefined): AnyClaim {
  const [, key, shared, , fence, createdAt] = answer
  const known = {
    shard,
    words: wordsOf(answer),
    newestFence: fence,
    grantedAt,
    token: part?.token ?? key,
    life: part?.life ?? shared,
    fence,
    createdAt: Number(createdAt),
  }
  if (answer[0] === 'value') {
    const [phase, , , reason, , , name, version, data] = answer
    return { ...known, phase, reason, name, version: Number(version), data }
  }
  const [phase, , , reason, , , load, isLoaded, hadPage, values] = answer
  return {
    ...known,
    phase,
    reason,
    load: Number(load),
    isLoaded: isLoaded === 1,
    hadPage: hadPage === 1,
    values: values.map(([name, version, data]) => ({ name, version: Number(version), data })),
  }
}
