import type { Claim, CoordinatorEvents, SessionClaim, Share } from '../../sessions/coordinator.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'
import type { Reason } from '../../types.js'
import type { Clock } from '../../util/clock.js'
import { HandedOut, type HeldClaim } from './handed-out.js'
import type { Answers, ClaimAnswer, SessionAnswer, ValueAnswer } from './protocol.js'
import type { SessionLink, SessionLinks } from './session-links.js'
import type { Shard } from './shard.js'
import type { Shards } from './shards.js'

/** What the claims need of their coordinator. */
export interface ClaimsSite {
  readonly clock: Clock
  readonly events: CoordinatorEvents | undefined
}

/** This node's work for sessions: from answers, or fetched when it is due; kept until it is completed. */
export class Claims {
  readonly #site: ClaimsSite
  readonly #links: SessionLinks
  readonly #shards: Shards
  readonly #handedOut = new HandedOut()

  constructor(site: ClaimsSite, links: SessionLinks, shards: Shards) {
    this.#site = site
    this.#links = links
    this.#shards = shards
  }

  /** Tells when there may be work to claim. */
  tellDue(): void {
    let next = this.#handedOut.size > 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#shards.all) if (dueAt < next) next = dueAt
    if (next < Number.POSITIVE_INFINITY) this.#site.events?.due(Math.max(next - this.#site.clock.now(), 0))
  }

  async claim(limit: number): Promise<Claim[]> {
    const now = this.#site.clock.now()
    const due = this.#shards.all.filter(({ dueAt }) => dueAt <= now)
    const each = Math.max(Math.floor((limit - this.#handedOut.size) / Math.max(due.length, 1)), 1)
    await Promise.all(due.map(shard => this.#claimOf(shard, each)))
    const claims = this.#handedOut.take(limit)
    this.tellDue()
    return claims
  }

  async extend(claim: Claim): Promise<boolean> {
    const held = this.#handedOut.find(claim)
    if (held === undefined) return false
    const askedAt = this.#site.clock.now()
    // Nobody else can have it yet, as Redis has it given not earlier than this node asked.
    if (askedAt - held.grantedAt < SURE) return true
    try {
      const [isKept] = await held.shard.ask('extend', () => [...held.words, held.newestFence])
      if (isKept === 1) {
        held.grantedAt = askedAt
        return true
      }
    } catch {
      // It is better not acted upon.
    }
    this.#handedOut.drop(held)
    return false
  }

  complete(claim: Claim): Promise<boolean> {
    const held = this.#handedOut.find(claim)
    if (held === undefined) return Promise.resolve(false)
    return new Promise(resolve => {
      held.shard.send<'complete'>({
        words: () => ['complete', ...held.words, held.newestFence],
        answered: answer => {
          this.#completed(held, answer)
          resolve(answer[0] === 1)
        },
        // While Redis is away, it is completed later: what is done must not be claimed again.
        delayed: () => resolve(false),
      })
    })
  }

  end(link: SessionLink, share: Share, reason: Reason): Promise<SessionClaim | undefined> {
    const shard = this.#shards.of(link)
    const wasConfirmed = link.epoch !== ''
    const { epoch } = shard
    const askedAt = this.#site.clock.now()
    this.forget(link)
    return new Promise(resolve => {
      let isLate = false
      let clusterId = link.clusterId
      const isLost = () => !wasConfirmed || shard.epoch !== epoch
      const send = () => {
        clusterId = link.clusterId
        shard.send<'end'>({
          words: () => ['end', link.key, clusterId, reason],
          answered: answer => {
            if (answer.length === 0 && clusterId !== link.clusterId) return send()
            const found = answer.length === 0 && isLost() ? endOf(link, share, reason) : answer
            if (found.length === 0) resolve(undefined)
            else if (isLate) this.take(shard, found, askedAt, link)
            // After what awaits the answers before this one has gone on: an entry's may have told of a load.
            else queueMicrotask(() => resolve(this.#handedOut.hold(shard, found, askedAt, link)))
          },
          // Only what is here can end now; the rest follows as a claim when Redis is back.
          delayed: () => {
            isLate = true
            resolve(undefined)
          },
        })
      }
      send()
    })
  }

  /** The claim that a report was answered with. */
  ofReport(link: SessionLink, answer: SessionAnswer, askedAt: number): SessionClaim {
    this.#noteAnswer(link, answer)
    return this.#handedOut.hold(this.#shards.of(link), answer, askedAt, link)
  }

  /** The claim of a shared value, from the answer to another order than `claim`. */
  ofValue(shard: Shard, answer: ValueAnswer, askedAt: number): ValueClaim {
    return this.#handedOut.holdValue(shard, answer, askedAt, this.#links.byClusterId(answer[2]))
  }

  /** A claim that is to be fetched by `claim`. */
  take(shard: Shard, answer: ClaimAnswer, askedAt: number, link = this.#links.byClusterId(answer[2])): void {
    if (answer[0] !== 'value' && link !== undefined) this.#noteAnswer(link, answer)
    // Where nothing is here, it may be that this node has just ended it, and with it the claim.
    this.#handedOut.add(shard, answer, link === undefined ? Number.NEGATIVE_INFINITY : askedAt, link)
    this.tellDue()
  }

  /** The session has ended. */
  forget(link: SessionLink): void {
    this.#links.forget(link)
    this.#handedOut.doubt(link)
  }

  #noteAnswer(link: SessionLink, answer: SessionAnswer): void {
    if (answer[0] === 'end') this.forget(link)
    else link.note(Number(answer[10]))
  }

  #completed(held: HeldClaim, answer: Answers['complete']): void {
    this.#handedOut.drop(held)
    const [isDone, due = -1, version, loaded = [], next] = answer
    if (isDone === 0) return
    const { shard, words } = held
    shard.noteDue(due)
    const link = this.#links.byClusterId(words[2])
    if (loaded.length > 0 && link !== undefined) {
      const [load, hadPage, runHooks] = loaded
      link.note(Number(version))
      this.#site.events?.loaded(link.id, Number(load), hadPage === 1, runHooks === 1)
    }
    if (next !== undefined) this.take(shard, next, this.#site.clock.now())
  }

  async #claimOf(shard: Shard, limit: number): Promise<void> {
    shard.dueAt = Number.POSITIVE_INFINITY
    const askedAt = this.#site.clock.now()
    try {
      const [due, ...claims] = await shard.ask('claim', () => [limit])
      shard.noteDue(due)
      for (const claim of claims) this.take(shard, claim, askedAt)
    } catch {
      // Its beat tells what is due when it is back.
    }
  }
}

/** The claim of an end that Redis knows nothing of: all that it could tell is in the share. */
function endOf(link: SessionLink, share: Share, reason: Reason): SessionAnswer {
  const { createdAt, load, phase, everHadPage } = share
  const isLoaded = phase === 'unloaded' ? 0 : 1
  return ['end', link.key, link.clusterId, reason, 0, createdAt, load, isLoaded, everHadPage ? 1 : 0, [], '0']
}

/** For how long a claim is surely this node's, which is less than the time after which others may have it. */
const SURE = 5_000
