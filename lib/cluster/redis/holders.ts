import { v4 as uuid } from 'uuid'
import { GradioStateError } from '../../errors.js'
import type { Arrival, Departure, EngineEvents, Holder, Life, MaybePromise } from '../../sessions/engine.js'
import type { Clock } from '../../util/clock.js'
import type { Part } from './part.js'
import type { Parts } from './parts.js'
import { type Answers, delay, type OrderWords } from './protocol.js'
import type { Shard } from './shard.js'
import type { Shards } from './shards.js'

/** What the holders need of their engine. */
export interface HoldersSite {
  readonly clock: Clock
  readonly events: EngineEvents | undefined
}

/** Who holds the sessions here: answers who comes, at once where this node knows enough, and lets Redis know. */
export class Holders {
  readonly #site: HoldersSite
  readonly #parts: Parts
  readonly #shards: Shards
  #saidTwoNodes = false

  constructor(site: HoldersSite, parts: Parts, shards: Shards) {
    this.#site = site
    this.#parts = parts
    this.#shards = shards
  }

  open(token: string, holder: Holder, arrival: Arrival): MaybePromise<Life | undefined> {
    const shard = this.#shards.of(token)
    const part = this.#parts.get(token)
    const canWait = !arrival.atOnce && !shard.isAway
    if (canWait && !part?.isKept) return this.#ask(shard, token, holder, arrival)
    if (part?.isBegun) return this.#openKnown(shard, part, holder, arrival)
    return arrival.create ? this.#begin(shard, part ?? this.#add(token), holder, arrival) : undefined
  }

  release(token: string, holder: Holder, departure: Departure): MaybePromise<void> {
    const part = this.#parts.get(token)
    // The life of one that is held no more is over.
    if (!part?.has(holder)) return
    const isLast = part.remove(holder)
    if (!part.isHeld) part.leftAt = this.#site.clock.now()
    const shard = this.#shards.of(token)
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

  /** Lets Redis know how many requests hold the session here. @param life what Redis calls it */
  sync(shard: Shard, part: Part, life: string): void {
    shard.send({
      words: ['sync', part.key, life, part.navigations, part.requests],
      answered: () => {},
      failed: () => {},
    })
  }

  /** Others have taken this node for dead, and its pages for gone: they are still here, so the session is loaded again. */
  async reload(shard: Shard, part: Part): Promise<void> {
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
          this.#site.events?.returned(part.life, part.load)
          return
        }
        await new Promise<void>(resolve => this.#site.clock.setTimer(resolve, ASK_AGAIN))
      }
    } catch {
      // It is announced again when Redis is back.
    }
  }

  #add(token: string): Part {
    return this.#parts.add(token, this.#site.clock.wall())
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
    this.#parts.begin(part)
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
        this.#parts.confirm(part, shard.epoch, life)
        part.pagesElsewhere = elsewhere
        shard.noteDue(due)
      },
      failed: () => {},
    })
  }

  async #ask(shard: Shard, token: string, holder: Holder, arrival: Arrival): Promise<Life | undefined> {
    const part = this.#parts.get(token) ?? this.#add(token)
    const isNew = part.add(holder)
    if (isNew) part.noteAsked(holder, false)
    try {
      const answer = await shard.ask(...this.#openWords(part, holder, arrival, isNew, ''))
      part.noteAsked(holder, true)
      if (answer.length !== 0) return this.#admitted(shard, part, holder, answer)
      this.#refused(part, holder)
      return undefined
    } catch {
      this.#refused(part, holder)
      return this.open(token, holder, { ...arrival, atOnce: true })
    }
  }

  #refused(part: Part, holder: Holder): void {
    part.remove(holder)
    if (!part.isBegun && !part.isHeld) this.#parts.forget(part)
  }

  /** @param asked what the holder was put down for, which may not be what was found */
  #admitted(shard: Shard, asked: Part, holder: Holder, answer: Admission): Life {
    const [life, phase, createdAt, load, elsewhere, due] = answer
    const part = this.#parts.admit(asked.token, life, Number(createdAt))
    if (part !== asked) {
      asked.remove(holder)
      part.add(holder)
      // What was told was counted for a life that is over.
      this.sync(shard, part, life)
    }
    this.#parts.confirm(part, shard.epoch, life)
    part.createdAt = Number(createdAt)
    part.load = Number(load)
    part.pagesElsewhere = elsewhere
    part.isExpired = false
    part.isUnloaded = phase === 'unloading'
    shard.noteDue(due)
    return lifeOf(part, phase)
  }

  #openWords(part: Part, holder: Holder, arrival: Arrival, isNew: boolean, only: string): OrderWords<'open'> {
    const { kind, id } = holder
    // A life that Redis knew never begins again.
    const life = part.epoch === '' ? part.life : uuid()
    const createdAt = part.epoch === '' ? part.createdAt : this.#site.clock.wall()
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

  #sayTwoNodes(life: string): void {
    if (this.#saidTwoNodes) return
    this.#saidTwoNodes = true
    this.#site.events?.problem(onTwoNodes(life))
  }
}

type Admission = Exclude<Answers['open'], []>

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

/** How soon it is asked again whether another node's unload is over. */
const ASK_AGAIN = 100
const NO_ARRIVAL: Arrival = { create: false, unloadIn: 0 }
