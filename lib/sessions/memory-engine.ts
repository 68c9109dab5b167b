import { randomBytes } from 'node:crypto'
import { v4 as uuid } from 'uuid'
import type { Clock } from '../util/clock.js'
import { flat } from '../util/detach-string.js'
import { TimerWheel, WheelNode } from '../util/timer-wheel.js'
import type { Arrival, Claim, Departure, EndReason, Engine, EngineEvents, Holder, Life } from './engine.js'
import { MemoryValues } from './memory-values.js'
import type { SharedValue, ValueClaim } from './shared-value-store.js'

/** The embedded engine: it knows this process only, and answers synchronously. */
export function memory(clock: Clock): Engine {
  return new MemoryEngine(clock)
}

class MemoryEngine implements Engine {
  readonly isShared = false
  readonly secret = randomBytes(32)
  readonly values: MemoryValues
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  readonly #wheel = new TimerWheel<Entry>()
  #wake: () => void = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
    this.values = new MemoryValues(
      clock,
      token => this.#entries.get(token),
      () => this.#wake(),
    )
  }

  start(events: EngineEvents): void {
    this.#wake = events.wake
  }

  open(token: string, holder: Holder, arrival: Arrival): Life | undefined {
    let entry = this.#entries.get(token)
    let phase: Life['phase'] = 'loaded'
    if (entry === undefined) {
      if (!arrival.create) return undefined
      entry = new Entry(token, flat(uuid()), this.#clock.wall())
      this.#entries.set(token, entry)
      phase = 'new'
    } else if (entry.phase === 'unloading') {
      phase = 'unloading'
    } else if (entry.phase === 'unloaded') {
      entry.phase = 'loaded'
      entry.load++
      entry.hadPage = entry.pages > 0
      phase = 'returned'
    }
    if (!entry.has(holder)) {
      entry.add(holder, this.#clock.now())
      entry.reason = 'disconnected'
    }
    entry.unloadAt = Math.max(entry.unloadAt, Math.ceil(this.#clock.now() + arrival.unloadIn))
    this.#arm(entry)
    const { life, createdAt, load } = entry
    return { id: life, phase, createdAt, load, pagesElsewhere: 0 }
  }

  release(token: string, holder: Holder, departure: Departure): void {
    const entry = this.#entries.get(token)
    if (!entry?.has(holder)) return
    entry.remove(holder, departure, this.#clock.now())
    this.#arm(entry)
  }

  end(token: string, life: string, reason: EndReason): Claim | undefined {
    const entry = this.#entries.get(token)
    if (entry?.life !== life) return undefined
    this.#wheel.cancel(entry)
    this.#entries.delete(token)
    return entry.claim('end', reason, this.values.end(life))
  }

  expire(token: string, life: string, endIn: number): void {
    const entry = this.#entries.get(token)
    if (entry?.life !== life) return
    entry.reason = 'expired'
    entry.endsAt(this.#clock.now() + endIn)
    this.#arm(entry)
  }

  nextDue(): number | undefined {
    const due = this.#wheel.next()
    const valueDue = this.values.nextDue()
    return due === undefined || (valueDue !== undefined && valueDue < due) ? valueDue : due
  }

  claim(limit: number): (Claim | ValueClaim)[] {
    const now = this.#clock.now()
    // Before the sessions: a value's own time was over before that of its session, or at the same time.
    const claims: (Claim | ValueClaim)[] = this.values.claim(limit)
    this.#wheel.expire(now, limit - claims.length, entry => {
      if (entry.endDue() > now) {
        claims.push(entry.claim('unload', entry.reason))
        return
      }
      this.#entries.delete(entry.token)
      claims.push(entry.claim('end', entry.reason, this.values.end(entry.life)))
    })
    return claims
  }

  renew(claim: Claim | ValueClaim): boolean {
    if (claim.phase === 'value') return true
    return this.#entries.get(claim.token)?.fence === claim.fence
  }

  settle(claim: Claim | ValueClaim): boolean {
    if (claim.phase !== 'unload') return true
    const entry = this.#entries.get(claim.token)
    if (entry?.life !== claim.life || entry.fence !== claim.fence) return false
    entry.phase = 'unloaded'
    this.#arm(entry)
    return true
  }

  goodbye(): boolean {
    return false
  }

  close(): void {
    for (const entry of this.#entries.values()) this.#wheel.cancel(entry)
    this.#entries.clear()
    this.values.close()
    this.#wake = () => {}
  }

  #arm(entry: Entry): void {
    const due = Math.min(entry.unloadDue(), entry.endDue())
    this.#wheel.schedule(entry, due)
    if (due !== Number.POSITIVE_INFINITY) this.#wake()
  }
}

/** What the engine knows of one life. The node in the wheel stands at the earlier of its two deadlines. */
class Entry extends WheelNode {
  readonly token: string
  readonly life: string
  readonly createdAt: number
  readonly #holders = new Set<Holder>()
  phase: 'loaded' | 'unloading' | 'unloaded' = 'loaded'
  /** Why its next unload or end is due. */
  reason: 'disconnected' | 'expired' = 'disconnected'
  fence = 0
  /** The how-manieth time it is loaded. */
  load = 1
  pages = 0
  #navigations: Navigations | undefined
  /** Whether a page was here since the last load. */
  hadPage = false
  unloadAt = 0
  #endAt = NEVER
  #everHadPage = false

  constructor(token: string, life: string, createdAt: number) {
    super()
    this.token = token
    this.life = life
    this.createdAt = createdAt
  }

  get isHeld(): boolean {
    return this.#holders.size > 0
  }

  has(holder: Holder): boolean {
    return this.#holders.has(holder)
  }

  add(holder: Holder, now: number): void {
    this.#holders.add(holder)
    if (holder.kind === 'navigation') {
      this.#navigations ??= new Navigations()
      this.#navigations.underWay++
    }
    if (holder.kind !== 'page') return
    this.pages++
    this.hadPage = true
    this.#everHadPage = true
    if (this.#navigations?.pageCame(now)) this.#navigations = undefined
  }

  remove(holder: Holder, departure: Departure, now: number): void {
    this.#holders.delete(holder)
    this.endsAt(now + departure.endIn)
    if (holder.kind === 'page') this.pages--
    if (holder.kind === 'page' || !this.hadPage)
      this.unloadAt = Math.max(this.unloadAt, Math.ceil(now + departure.unloadIn))
    if (holder.kind === 'navigation' && this.#navigations?.answered(now, departure.awaitPage))
      this.#navigations = undefined
  }

  /** @param at on the engine's clock */
  endsAt(at: number): void {
    this.#endAt = at === Number.POSITIVE_INFINITY ? NEVER : Math.ceil(at)
  }

  /** Its work is handed to the caller. */
  claim(phase: Claim['phase'], reason: EndReason, values: readonly SharedValue[] = NO_VALUES): Claim {
    const { token, life, createdAt, load } = this
    const isLoaded = this.phase !== 'unloaded'
    if (phase === 'unload') {
      this.phase = 'unloading'
      if (this.#navigations?.giveUp()) this.#navigations = undefined
    }
    const fence = ++this.fence
    return {
      token,
      life,
      phase,
      reason,
      fence,
      createdAt,
      load,
      isLoaded,
      hadPage: this.#everHadPage,
      values,
    }
  }

  unloadDue(): number {
    if (this.phase !== 'loaded') return Number.POSITIVE_INFINITY
    if (this.reason === 'expired') return 0
    if (this.pages > 0 || (this.#navigations?.underWay ?? 0) > 0) return Number.POSITIVE_INFINITY
    if (!this.hadPage && this.isHeld) return Number.POSITIVE_INFINITY
    return Math.max(this.unloadAt, this.#navigations?.awaitedUntil ?? 0)
  }

  endDue(): number {
    const isPutOff = this.phase === 'unloading' || this.isHeld || this.#endAt === NEVER
    return isPutOff ? Number.POSITIVE_INFINITY : this.#endAt
  }
}

/** The navigations of a life, and the pages that they bring. What notes something tells whether nothing is left to note. */
class Navigations {
  /** How many have yet to be answered. */
  underWay = 0
  /** Until when the pages are awaited that answered ones have yet to bring; the earliest first. */
  #awaited: number[] = []
  /** Pages that arrived before their navigation's answer was at its end, as those of a streamed page do. */
  #early = 0

  get awaitedUntil(): number {
    return this.#awaited.at(-1) ?? 0
  }

  pageCame(now: number): boolean {
    this.#dropLate(now)
    if (this.#awaited.length > 0) this.#awaited.shift()
    else if (this.#early < this.underWay) this.#early++
    return this.#isOver
  }

  answered(now: number, awaitPage: number | undefined): boolean {
    this.underWay--
    this.#dropLate(now)
    if (this.#early > 0) this.#early--
    else if (awaitPage !== undefined) this.#awaited.push(now + awaitPage)
    return this.#isOver
  }

  /** Pages are awaited no longer. */
  giveUp(): boolean {
    this.#awaited = []
    return this.#isOver
  }

  /** Pages that have not come in time are awaited no longer. */
  #dropLate(now: number): void {
    this.#awaited = this.#awaited.filter(until => until > now)
  }

  get #isOver(): boolean {
    return this.underWay === 0 && this.#awaited.length === 0 && this.#early === 0
  }
}

const NO_VALUES: readonly SharedValue[] = []

// Deadlines are whole milliseconds: V8 keeps a number that is no small integer in an object of its own.
const NEVER = -1
