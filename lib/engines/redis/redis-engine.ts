import { randomBytes } from 'node:crypto'
import { v4 as uuid } from 'uuid'
import { type Clock, systemClock } from '../../clock.js'
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
} from '../engine.js'
import type { SharedValues, ValueClaim } from '../shared-values.js'
import { away, type ClientSource, Connection } from './connection.js'
import { HandedOut, type HeldClaim } from './handed-out.js'
import { keyOf, Part, shardIndexOf } from './part.js'
import { RedisValues } from './redis-values.js'
import { type Answer, delay, Shard, type ShardSite } from './shard.js'

/** The engine that several nodes share. What this node holds it knows itself, and the others by Redis. */
export class RedisEngine implements Engine, ShardSite {
  readonly isShared = true
  readonly values: SharedValues
  readonly node = uuid()
  readonly connection: Connection
  readonly channel: string
  clock: Clock = systemClock
  departure: Departure = { unloadIn: 0, endIn: 0 }
  readonly #shards: readonly Shard[]
  #secret = randomBytes(32)
  readonly #parts = new Map<string, Part>()
  readonly #byShared = new Map<string, Part>()
  readonly #handedOut = new HandedOut()
  #events: EngineEvents | undefined
  #cancelBeat = () => {}
  #beatAt = Number.POSITIVE_INFINITY
  #saidAway = false
  #saidTwoNodes = false

  constructor(prefix: string, source: ClientSource) {
    this.channel = `${prefix}:`
    this.connection = new Connection(source, this.channel + this.node, {
      message: tag => void this.#shards.find(shard => shard.tag === tag)?.beat(),
      ready: () => this.#retry(),
      error: error => this.#sayAway(error),
    })
    this.#shards = Array.from({ length: SHARDS }, (_, index) => new Shard(`{${prefix}:${index}}`, this))
    this.values = new RedisValues({
      askOf: (...question) => this.#askOf(...question),
      noteDue: (token, ms) => this.#shardOf(token).noteDue(ms),
      claim: (token, answer) =>
        this.#handedOut.hold(
          this.#shardOf(token),
          answer,
          this.clock.now(),
          this.#parts.get(token),
        ) as ValueClaim,
    })
  }

  get secret(): Buffer {
    return this.#secret
  }

  async start(events: EngineEvents, { clock, departure }: EngineContext): Promise<void> {
    this.#events = events
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
    const shard = this.#shardOf(token)
    const part = this.#parts.get(token)
    const canWait = !arrival.atOnce && !shard.isAway
    if (canWait && !part?.isKept) return this.#ask(shard, token, holder, arrival)
    if (part?.isBegun) return this.#openKnown(shard, part, holder, arrival)
    return arrival.create ? this.#begin(shard, part ?? this.#part(token), holder, arrival) : undefined
  }

  release(token: string, holder: Holder, departure: Departure): MaybePromise<void> {
    const part = this.#parts.get(token)
    // The life of one that is held no more is over.
    if (!part?.has(holder)) return
    const isLast = part.remove(holder)
    if (!part.isHeld) part.leftAt = this.clock.now()
    const shard = this.#shardOf(token)
    const { kind, id } = holder
    // While a page is here, no other node need know of requests; what they hold is told when the page leaves.
    if (kind === 'page' ? !isLast : kind === 'request' && part.isKept) return
    const { unloadIn, endIn, awaitPage, hasValues = false } = departure
    return new Promise(resolve => {
      shard.send({
        words: [
          'leave',
          part.key,
          part.shared,
          kind,
          kind === 'page' ? id : '',
          part.navigations,
          part.requests,
          unloadIn,
          delay(endIn),
          awaitPage ?? -1,
          hasValues && !this.#saidTwoNodes,
        ],
        answered: ([due, isOnTwoNodes]) => {
          shard.noteDue(due ?? -1)
          if (isOnTwoNodes === 1) this.#sayTwoNodes(part.life)
          resolve()
        },
        // What is held is announced when Redis is back.
        failed: () => resolve(),
      })
    })
  }

  end(token: string, life: string, reason: EndReason): Promise<Claim | undefined> {
    const shard = this.#shardOf(token)
    const part = this.#partOf(token, life)
    if (part === undefined) return Promise.resolve(undefined)
    this.#forget(part)
    const { epoch } = shard
    const askedAt = this.clock.now()
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
          const found = answer.length > 0 ? answer : shard.epoch === epoch ? undefined : endOf(part, reason)
          if (found === undefined) resolve(undefined)
          else if (isLate) this.#take(shard, found, askedAt)
          else resolve(this.#handedOut.hold(shard, found, askedAt, part) as Claim)
        },
        delayed,
      })
    })
  }

  async expire(token: string, life: string, endIn: number): Promise<void> {
    const part = this.#partOf(token, life)
    if (part === undefined) return
    part.isExpired = true
    const shard = this.#shardOf(token)
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
    if (this.#handedOut.size > 0) return this.clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#shards) if (dueAt < next) next = dueAt
    return next === Number.POSITIVE_INFINITY ? undefined : next
  }

  async claim(limit: number): Promise<(Claim | ValueClaim)[]> {
    const now = this.clock.now()
    const due = this.#shards.filter(({ dueAt }) => dueAt <= now)
    const each = Math.max(Math.floor((limit - this.#handedOut.size) / Math.max(due.length, 1)), 1)
    await Promise.all(due.map(shard => this.#claimOf(shard, each)))
    return this.#handedOut.take(limit)
  }

  renew(claim: Claim | ValueClaim): MaybePromise<boolean> {
    const held = claim as unknown as HeldClaim
    // Nobody else can have it yet, as Redis has it given not earlier than this node asked.
    if (this.clock.now() - held.grantedAt < SURE) return true
    return this.#renew(held)
  }

  settle(claim: Claim | ValueClaim): Promise<boolean> {
    const held = claim as unknown as HeldClaim
    const { shard, words } = held
    const part = this.#byShared.get(words[2])
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

  async goodbye(token: string, page: string, epoch: number | undefined): Promise<boolean> {
    try {
      const [isTold] = await this.#shardOf(token).ask('goodbye', keyOf(token), page, epoch ?? -1)
      return isTold === 1
    } catch {
      // Then the page leaves by the end of its connection, or of its lease.
      return false
    }
  }

  async close(): Promise<void> {
    this.#cancelBeat()
    this.#beatAt = Number.NEGATIVE_INFINITY
    await Promise.allSettled(this.#shards.map(shard => shard.leave()))
    this.#events = undefined
    await this.connection.close()
  }

  // What the shards are given:

  parts(shard: Shard): Part[] {
    return [...this.#parts.values()].filter(part => part.isBegun && this.#shardOf(part.token) === shard)
  }

  joined(shard: Shard): void {
    // One shard's has to do for all.
    if (shard === this.#shards[0]) this.#secret = Buffer.from(shard.secret, 'base64url')
  }

  announced(part: Part, shard: Shard, [outcome, life, load, due, isReturn]: Answer): void {
    if (outcome === 'gone') {
      this.#gone(part, life)
      return
    }
    this.#confirm(part, shard, life)
    part.load = Number(load)
    shard.noteDue(due)
    if (isReturn === 0) return
    // Others took its holders for gone, and have unloaded it, or are about to.
    this.#events?.unloaded(part.life, 'disconnected')
    if (isReturn === 1) this.#events?.returned(part.life, part.load)
    else void this.#reload(shard, part)
  }

  message(shard: Shard, [what, life = '', ...rest]: string[]): void {
    const part = this.#byShared.get(life)
    if (what === 'due') shard.noteDue(0)
    if (part === undefined) return
    if (what === 'gone') this.#gone(part, rest[0] as EndReason)
    else if (what === 'alias') this.#rename(part, rest[0] as string)
    else if (what === 'unloaded') {
      // It has been loaded again since, by this node.
      if (Number(rest[1]) < part.load) return
      part.isUnloaded = true
      this.#events?.unloaded(part.life, rest[0] as EndReason)
    } else if (what === 'expired') {
      part.isExpired = true
      this.#events?.expired(part.life)
    } else if (what === 'goodbye') {
      const epoch = Number(rest[1])
      this.#events?.goodbye(part.life, rest[0] as string, epoch < 0 ? undefined : epoch)
    } else if (what === 'moved') this.#moved(shard, part, rest[0] as string)
  }

  wake(): void {
    this.#events?.wake()
  }

  /** Sets the timer to the beat that is due first. */
  setBeat(): void {
    const next = Math.min(...this.#shards.map(({ beatAt }) => beatAt))
    if (next >= this.#beatAt) return
    this.#beatAt = next
    this.#cancelBeat()
    this.#cancelBeat = this.clock.setTimer(() => this.#beat(), Math.max(next - this.clock.now(), 0))
  }

  isAway(_shard: Shard, error: unknown): void {
    this.#sayAway(error)
  }

  // Within:

  #beat(): void {
    const now = this.clock.now()
    this.#beatAt = Number.POSITIVE_INFINITY
    for (const shard of this.#shards) {
      if (shard.beatAt > now) continue
      shard.beatAt = Number.POSITIVE_INFINITY
      void shard.beat()
    }
    this.setBeat()
  }

  #retry(): void {
    this.#saidAway = false
    for (const shard of this.#shards) shard.retry()
  }

  /** Once an outage. */
  #sayAway(error: unknown): void {
    if (this.#saidAway) return
    this.#saidAway = true
    this.#events?.problem(error instanceof GradioStateError ? error : away(error))
  }

  #sayTwoNodes(life: string): void {
    if (this.#saidTwoNodes) return
    this.#saidTwoNodes = true
    this.#events?.problem(onTwoNodes(life))
  }

  #shardOf(token: string): Shard {
    const key = this.#parts.get(token)?.key ?? keyOf(token)
    return this.#shards[shardIndexOf(key, SHARDS)] as Shard
  }

  #partOf(token: string, life: string): Part | undefined {
    const current = this.#parts.get(token)
    if (current?.life === life) return current
    // Another life has begun already, and word of the end of this one is on its way.
    const former = this.#byShared.get(life)
    return former?.life === life ? former : undefined
  }

  #part(token: string): Part {
    const part = new Part(token, uuid(), this.clock.wall())
    this.#parts.set(token, part)
    return part
  }

  #forget(part: Part): void {
    if (this.#parts.get(part.token) === part) this.#parts.delete(part.token)
    this.#byShared.delete(part.shared)
    this.#handedOut.doubt(part.key, part.shared)
  }

  /** Redis calls the life by that name. */
  #confirm(part: Part, shard: Shard, life: string): void {
    part.epoch = shard.epoch
    this.#rename(part, life)
  }

  #rename(part: Part, life: string): void {
    if (this.#byShared.get(part.shared) === part) this.#byShared.delete(part.shared)
    part.shared = life
    this.#byShared.set(life, part)
  }

  #gone(part: Part, reason: EndReason): void {
    this.#forget(part)
    this.#events?.gone(part.token, part.life, reason)
  }

  #moved(shard: Shard, part: Part, page: string): void {
    const before = part.holdersOf(page)
    shard.send({
      // The page may have come back since, and the message be older than that.
      words: ['holds', part.key, part.shared, page],
      answered: ([isHere]) => {
        if (isHere === 1) return
        for (const holder of before) part.remove(holder)
        // It may have come back after it was asked.
        if (part.holdersOf(page).length > 0) return
        this.#events?.moved(part.life, page)
        // Of requests that came or went while the page was here, nothing was told.
        this.#sync(shard, part, part.shared)
      },
      // Then it is told again when this node announces the page.
      failed: () => {},
    })
  }

  #sync(shard: Shard, part: Part, life: string): void {
    shard.send({
      words: ['sync', part.key, life, part.navigations, part.requests],
      answered: () => {},
      failed: () => {},
    })
  }

  /** Answers at once, by what this node knows. */
  #openKnown(shard: Shard, part: Part, holder: Holder, arrival: Arrival): Life {
    const isNew = part.add(holder)
    const isReturn = part.isUnloaded
    if (isReturn) {
      part.isUnloaded = false
      part.load++
    }
    if (holder.kind !== 'request' || !part.isKept || isReturn) this.#tell(shard, part, holder, arrival, isNew)
    return lifeOf(part, isReturn ? 'returned' : 'loaded')
  }

  /** Begins a life without waiting for Redis, which may know another one of that token. */
  #begin(shard: Shard, part: Part, holder: Holder, arrival: Arrival): Life {
    part.isBegun = true
    this.#byShared.set(part.shared, part)
    part.add(holder)
    this.#tell(shard, part, holder, arrival, true)
    return lifeOf(part, 'new')
  }

  /** Lets Redis know of a holder who did not wait for it. */
  #tell(shard: Shard, part: Part, holder: Holder, arrival: Arrival, isNew: boolean): void {
    const only = part.epoch === '' ? '' : part.shared
    shard.send({
      words: this.#openWords(part, holder, arrival, isNew, only),
      answered: answer => {
        if (answer.length === 0) return
        const [life, , , , elsewhere, due] = answer
        this.#confirm(part, shard, life)
        part.pagesElsewhere = elsewhere
        shard.noteDue(due)
      },
      failed: () => {},
    })
  }

  async #ask(shard: Shard, token: string, holder: Holder, arrival: Arrival): Promise<Life | undefined> {
    const part = this.#parts.get(token) ?? this.#part(token)
    const isNew = part.add(holder)
    if (isNew) part.noteAsked(holder, false)
    try {
      const answer = await shard.ask(...this.#openWords(part, holder, arrival, isNew, ''))
      part.noteAsked(holder, true)
      if (answer.length > 0) return this.#admitted(shard, part, holder, answer)
      part.remove(holder)
      if (!part.isBegun && !part.isHeld) this.#forget(part)
      return undefined
    } catch {
      part.remove(holder)
      if (!part.isBegun && !part.isHeld) this.#forget(part)
      return this.open(token, holder, { ...arrival, atOnce: true })
    }
  }

  /** Others have taken this node for dead, and its pages for gone: they are still here, so the session is loaded again. */
  async #reload(shard: Shard, part: Part): Promise<void> {
    part.isUnloaded = true
    try {
      for (;;) {
        const holder = part.onePage
        if (holder === undefined || !part.isUnloaded) return
        const answer = await shard.ask(...this.#openWords(part, holder, NO_ARRIVAL, false, part.shared))
        // Somebody else's arrival here may have been told so.
        if (answer.length === 0 || !part.isUnloaded) return
        const [, phase, , load] = answer
        if (phase !== 'unloading') {
          part.isUnloaded = false
          part.load = Number(load)
          this.#events?.returned(part.life, part.load)
          return
        }
        await new Promise<void>(resolve => this.clock.setTimer(resolve, ASK_AGAIN))
      }
    } catch {
      // It is announced again when Redis is back.
    }
  }

  /** @param asked what the holder was put down for, which may not be what was found */
  #admitted(shard: Shard, asked: Part, holder: Holder, answer: Answer): Life {
    const [life, phase, createdAt, load, elsewhere, due] = answer
    const part = this.#found(asked.token, life)
    if (part !== asked) {
      asked.remove(holder)
      part.add(holder)
      // What was told was counted for a life that is over.
      this.#sync(shard, part, life)
    }
    this.#confirm(part, shard, life)
    part.createdAt = Number(createdAt)
    part.load = Number(load)
    part.pagesElsewhere = elsewhere
    part.isExpired = false
    part.isUnloaded = phase === 'unloading'
    shard.noteDue(due)
    return lifeOf(part, phase)
  }

  /** What this node has, or is to have, of that life. */
  #found(token: string, life: string): Part {
    const part = this.#parts.get(token)
    if (part?.shared === life) {
      part.isBegun = true
      return part
    }
    // Begun without waiting for Redis, it stands here for what the others know by another id.
    if (part?.isBegun && part.epoch === '') return part
    const found = part === undefined || part.isBegun ? this.#part(token) : part
    found.isBegun = true
    found.life = life
    return found
  }

  #openWords(part: Part, holder: Holder, arrival: Arrival, isNew: boolean, only: string): unknown[] {
    const { kind, id } = holder
    // A life that Redis knew never begins again.
    const life = part.epoch === '' ? part.life : uuid()
    const createdAt = part.epoch === '' ? part.createdAt : this.clock.wall()
    return [
      'open',
      part.key,
      life,
      createdAt,
      arrival.create && only === '',
      only,
      kind,
      kind === 'page' ? id : '',
      part.navigations,
      part.requests,
      arrival.unloadIn,
      isNew,
    ]
  }

  async #claimOf(shard: Shard, limit: number): Promise<void> {
    shard.dueAt = Number.POSITIVE_INFINITY
    const askedAt = this.clock.now()
    try {
      const [due, ...claims] = await shard.ask('claim', limit)
      shard.noteDue(due)
      for (const claim of claims) this.#take(shard, claim, askedAt)
    } catch {
      // Its beat tells what is due when it is back.
    }
  }

  #take(shard: Shard, claim: Answer, askedAt: number): void {
    const [phase, , life] = claim
    const part = this.#byShared.get(life)
    if (phase === 'end' && part !== undefined) this.#forget(part)
    // Where nothing is here, it may be that this node has just ended it, and with it the claim.
    this.#handedOut.add(shard, claim, part === undefined ? Number.NEGATIVE_INFINITY : askedAt, part)
    this.#events?.wake()
  }

  /** Of a life that was begun without waiting, the name may be another one by the time of the answer. */
  async #askOf(token: string, life: string, order: string, ...words: unknown[]): Promise<Answer> {
    const part = this.#partOf(token, life)
    const shared = part?.shared ?? life
    const shard = this.#shardOf(token)
    const answer = await shard.ask(order, keyOf(token), shared, ...words)
    if (answer[0] !== 'ENDED' || part === undefined || part.shared === shared) return answer
    return shard.ask(order, keyOf(token), part.shared, ...words)
  }

  async #renew(held: HeldClaim): Promise<boolean> {
    const askedAt = this.clock.now()
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

function lifeOf(part: Part, phase: Life['phase']): Life {
  const { life, createdAt, load, pagesElsewhere } = part
  return { id: life, phase, createdAt, load, pagesElsewhere }
}

function onTwoNodes(life: string): GradioStateError {
  return new GradioStateError(
    'VALUES_ON_TWO_NODES',
    `Expected the requests of session ${life} that use local values to come to one node, but they came to two: each has values of its own. Let the balancer be sticky, or use sharedState() for what has to follow the user. (Said once.)`,
  )
}

/** The claim of an end that Redis has lost, with all that it knew of the session. */
function endOf({ key, shared, createdAt, load, isUnloaded, hadPage }: Part, reason: EndReason): Answer {
  return ['end', key, shared, reason, 0, createdAt, load, isUnloaded ? 0 : 1, hadPage ? 1 : 0, []]
}

const SHARDS = 16
/** How soon it is asked again whether another node's unload is over. */
const ASK_AGAIN = 100
const NO_ARRIVAL: Arrival = { create: false, unloadIn: 0 }
const FIRST_CONNECTION = 2_000
/** For how long a claim is surely this node's, which is less than the time after which others may have it. */
const SURE = 5_000
