import type { Claim, CoordinatorEvents, SessionClaim, Share } from '../../sessions/coordinator.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'
import type { Reason } from '../../types.js'
import type { Clock } from '../../util/clock.js'
import { type ClaimRecord, ClaimTable } from './claim-table.js'
import type { Answers, ClaimAnswer, SessionAnswer, ValueAnswer } from './protocol.js'
import type { SessionLink, SessionLinks } from './session-links.js'
import type { Shard } from './shard.js'
import type { Shards } from './shards.js'

/** What the claims need from their coordinator. */
export interface ClaimsContext {
  readonly clock: Clock
  readonly events: CoordinatorEvents | undefined
}

/** The claims of this node: received with answers, or fetched when they are due; kept until they are completed. */
export class Claims {
  readonly #context: ClaimsContext
  readonly #links: SessionLinks
  readonly #shards: Shards
  readonly #table = new ClaimTable()

  constructor(context: ClaimsContext, links: SessionLinks, shards: Shards) {
    this.#context = context
    this.#links = links
    this.#shards = shards
  }

  /** Emits event `due`: when there may be work to claim. */
  notifyDue(): void {
    let next = this.#table.size > 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#shards.all) if (dueAt < next) next = dueAt
    if (next < Number.POSITIVE_INFINITY)
      this.#context.events?.due(Math.max(next - this.#context.clock.now(), 0))
  }

  async claim(limit: number): Promise<Claim[]> {
    const now = this.#context.clock.now()
    const due = this.#shards.all.filter(({ dueAt }) => dueAt <= now)
    const each = Math.max(Math.floor((limit - this.#table.size) / Math.max(due.length, 1)), 1)
    await Promise.all(due.map(shard => this.#claimOf(shard, each)))
    const claims = this.#table.takeFetched(limit)
    this.notifyDue()
    return claims
  }

  async extend(claim: Claim): Promise<boolean> {
    const record = this.#table.find(claim)
    if (record === undefined) return false
    const askedAt = this.#context.clock.now()
    // No other node can have it yet: Redis granted it after this node sent the command.
    if (askedAt - record.grantedAt < GRANT_TIME) return true
    try {
      const [isKept] = await record.shard.ask('extend', () => [...record.args, record.newestFence])
      if (isKept === 1) {
        record.grantedAt = askedAt
        return true
      }
    } catch {
      // Unknown: treated as lost, because another node may have it.
    }
    this.#table.remove(record)
    return false
  }

  complete(claim: Claim): Promise<boolean> {
    const record = this.#table.find(claim)
    if (record === undefined) return Promise.resolve(false)
    return new Promise(resolve => {
      record.shard.send<'complete'>({
        args: () => ['complete', ...record.args, record.newestFence],
        answered: answer => {
          this.#completed(record, answer)
          resolve(answer[0] === 1)
        },
        // During an outage it stays queued: completed work must not be claimed again.
        delayed: () => resolve(false),
      })
    })
  }

  end(link: SessionLink, share: Share, reason: Reason): Promise<SessionClaim | undefined> {
    const shard = this.#shards.of(link)
    const wasConfirmed = link.epoch !== ''
    const { epoch } = shard
    const askedAt = this.#context.clock.now()
    this.forget(link)
    return new Promise(resolve => {
      let isLate = false
      let clusterId = link.clusterId
      const isLost = () => !wasConfirmed || shard.epoch !== epoch
      const send = () => {
        clusterId = link.clusterId
        shard.send<'end'>({
          args: () => ['end', link.key, clusterId, reason],
          answered: answer => {
            if (answer.length === 0 && clusterId !== link.clusterId) return send()
            const found = answer.length === 0 && isLost() ? endOf(link, share, reason) : answer
            if (found.length === 0) resolve(undefined)
            else if (isLate) this.addClaim(shard, found, askedAt, link)
            // After the continuations of earlier answers: the answer to an entry may have reported a load.
            else queueMicrotask(() => resolve(this.#table.addSession(shard, found, askedAt, link)))
          },
          // During an outage, only the local part ends. The claim follows when Redis is back.
          delayed: () => {
            isLate = true
            resolve(undefined)
          },
        })
      }
      send()
    })
  }

  /** The claim in the answer to a report. */
  fromReport(link: SessionLink, answer: SessionAnswer, askedAt: number): SessionClaim {
    this.#noteAnswer(link, answer)
    return this.#table.addSession(this.#shards.of(link), answer, askedAt, link)
  }

  /** The claim of a shared value in the answer to another command than `claim`. */
  fromValue(shard: Shard, answer: ValueAnswer, askedAt: number): ValueClaim {
    return this.#table.addValue(shard, answer, askedAt, this.#links.byClusterId(answer[2]))
  }

  /** Keeps a claim until {@link claim} returns it. */
  addClaim(
    shard: Shard,
    answer: ClaimAnswer,
    askedAt: number,
    link = this.#links.byClusterId(answer[2]),
  ): void {
    if (answer[0] !== 'value' && link !== undefined) this.#noteAnswer(link, answer)
    // Without a local session, this node may just have ended it, and with it the claim. So the grant time doesn't count.
    this.#table.addFetched(shard, answer, link === undefined ? Number.NEGATIVE_INFINITY : askedAt, link)
    this.notifyDue()
  }

  /** The session has ended. */
  forget(link: SessionLink): void {
    this.#links.forget(link)
    this.#table.invalidate(link)
  }

  #noteAnswer(link: SessionLink, answer: SessionAnswer): void {
    if (answer[0] === 'end') this.forget(link)
    else link.note(Number(answer[10]))
  }

  #completed(record: ClaimRecord, answer: Answers['complete']): void {
    this.#table.remove(record)
    const [isDone, due = -1, version, loaded = [], next] = answer
    if (isDone === 0) return
    const { shard, args } = record
    shard.noteDue(due)
    const link = this.#links.byClusterId(args[2])
    if (loaded.length > 0 && link !== undefined) {
      const [load, hadPage, runHooks] = loaded
      link.note(Number(version))
      this.#context.events?.loaded(link.id, Number(load), hadPage === 1, runHooks === 1)
    }
    if (next !== undefined) this.addClaim(shard, next, this.#context.clock.now())
  }

  async #claimOf(shard: Shard, limit: number): Promise<void> {
    shard.dueAt = Number.POSITIVE_INFINITY
    const askedAt = this.#context.clock.now()
    try {
      const [due, ...claims] = await shard.ask('claim', () => [limit])
      shard.noteDue(due)
      for (const claim of claims) this.addClaim(shard, claim, askedAt)
    } catch {
      // The next heartbeat after the outage reports what is due.
    }
  }
}

/** The claim of an end of a session that Redis has lost, made from the share. */
function endOf(link: SessionLink, share: Share, reason: Reason): SessionAnswer {
  const { createdAt, load, phase, everHadPage } = share
  const isLoaded = phase === 'unloaded' ? 0 : 1
  return [
    'end',
    link.key,
    link.clusterId,
    reason,
    0,
    createdAt,
    load,
    isLoaded,
    everHadPage ? 1 : 0,
    [],
    '0',
    '',
  ]
}

/** How long after a grant no other node can have the claim, in milliseconds. Less than the time after which claims time out. */
const GRANT_TIME = 5_000
