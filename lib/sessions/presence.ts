import type { Admitted, Departure, Present } from './visit.js'

/** Why a presence lets an unload or an end become due. */
export type PresenceReason = 'disconnected' | 'expired'

/** How long it takes from the last departure to the unload, and to the end; in milliseconds. */
export interface PresenceRules {
  readonly unloadDelay: number
  readonly gracePeriod: number
}

/**
 * Who is present in one session, and what is due when they leave: until when this process keeps the session loaded, and
 * until when it keeps its state. Knows no clock: `now` is always milliseconds on a monotonic clock. The rows of the table
 * in docs/decisions/presence.md are numbered in the comments.
 */
export class Presence {
  /** `unloading`: unload hooks are running. */
  phase: 'loaded' | 'unloading' | 'unloaded' | 'ended' = 'loaded'
  /** Load count, starting at 1. */
  load = 1
  pages = 0
  requests = 0
  navigations = 0
  /** Whether a page was connected since the load, on any node. */
  hadPage = false
  /** Whether a page was ever connected. */
  everHadPage = false
  /** Why the next unload or end is due. */
  reason: PresenceReason = 'disconnected'
  /** Whether other nodes may rely on this process to keep the session loaded. */
  keepsLoaded = true
  /** Whether other nodes may rely on this process to keep its state. */
  keepsState = true
  /** Visitors whom the cluster has not answered yet. Nothing is due meanwhile: a report would overtake their entering. */
  arriving = 0
  readonly parent: Presence | undefined
  readonly #rules: PresenceRules
  /** Until when answered navigations may bring their pages, earliest first. */
  #expected: readonly number[] = NOTHING
  /** Pages that connected before the navigation that brought them was answered, as those of a streamed page do. */
  #early = 0
  #waiting: Set<Present> | undefined
  /** The unload isn't due before. */
  #unloadAt = 0
  #endAt = Number.POSITIVE_INFINITY

  /** Row 1: a session begins loaded. @param parent the presence of the parent session */
  constructor(rules: PresenceRules, parent?: Presence) {
    this.#rules = rules
    this.parent = parent
  }

  /** How many are present. */
  get here(): number {
    return this.pages + this.requests + this.navigations
  }

  /** How many wait for the session to be loaded again. */
  get waiting(): number {
    return this.#waiting?.size ?? 0
  }

  /** Until when pages are expected. */
  expected(now: number): readonly number[] {
    return this.#expected.filter(until => until > now)
  }

  /** How many navigations have yet to bring their page. */
  get navigationsWithoutPage(): number {
    return this.navigations - this.#early
  }

  /** When the grace period is over, should nobody return; `Infinity` before anybody has left. */
  get endsAt(): number {
    return this.#endAt
  }

  /** Row 1: nobody has begun the session by a visit, so nobody's departure will set its end. */
  beginUnattended(now: number): void {
    this.#endAt = now + this.#rules.gracePeriod
  }

  /**
   * Rows 2 to 5: somebody enters. An entry in a child session is an entry in its parent too.
   * @param answer what the cluster has said about this visitor, after {@link answered}; without it, this process decides
   * @returns whether this has loaded the session, so that its load hooks have to run
   */
  enter(entry: Present, now: number, answer?: Admitted): boolean {
    if (this.parent !== undefined) {
      entry.above = { kind: entry.kind, left: false, waits: false, above: undefined }
      this.parent.enter(entry.above, now)
    }
    this.keepsLoaded = this.keepsState = true
    this.reason = 'disconnected'
    const waits = (answer?.phase ?? this.phase) === 'unloading'
    const loads = this.phase === 'unloaded' && !waits
    if (loads) this.#load(this.load + 1)
    if (waits) this.wait(entry)
    if (entry.kind === 'page') {
      this.pages++
      this.hadPage = this.everHadPage = true
      if (answer?.isExpectedHere ?? true) this.meetExpectation(now)
    } else {
      if (entry.kind === 'request') this.requests++
      else this.navigations++
      this.#putOffUnload(now + this.#rules.unloadDelay)
    }
    return loads
  }

  /** Row 3: who is here waits until the session is loaded again. */
  wait(entry: Present): void {
    entry.waits = true
    this.#waiting ??= new Set()
    this.#waiting.add(entry)
  }

  /** Row 5: a page connected, here or on another node, that a navigation here was to bring. */
  meetExpectation(now: number): void {
    this.#expected = this.expected(now)
    if (this.#expected.length > 0) this.#expected = this.#expected.slice(1)
    else if (this.#early < this.navigations) this.#early++
  }

  /** Rows 6 to 11: an entry leaves; of a child's, the one in the parent after it. @returns whether a reload is expected now */
  leave(entry: Present, departure: Departure, now: number): boolean {
    if (entry.left) return false
    let isReload = false
    entry.left = true
    if (entry.waits) this.#waiting?.delete(entry)
    entry.waits = false
    entry.released?.()
    this.#endAt = now + this.#rules.gracePeriod
    const unloadAt = now + this.#rules.unloadDelay
    if (entry.kind === 'page') {
      this.pages--
      this.#putOffUnload(departure.abrupt ? unloadAt + RECONNECT : unloadAt)
      if (departure.reloads) isReload = this.#expectReload(now)
    } else {
      if (!this.hadPage) this.#putOffUnload(unloadAt)
      if (entry.kind === 'request') this.requests--
      else this.#answered(departure, now)
    }
    if (entry.above !== undefined) this.parent?.leave(entry.above, departure, now)
    return isReload
  }

  /** Row 12: the framework session has expired. Its pages have left before. @param endIn until the end */
  expire(now: number, endIn: number): void {
    this.reason = 'expired'
    this.#endAt = now + endIn
    this.keepsState = true
  }

  /** Row 13, from any phase. */
  end(): void {
    this.phase = 'ended'
    this.keepsLoaded = this.keepsState = false
    this.#expected = NOTHING
    this.#goOn()
  }

  /** When this process stops keeping the session loaded; `Infinity`: something has to happen before. */
  get unloadDue(): number {
    if (!this.keepsLoaded || this.waiting + this.arriving > 0) return NEVER
    return this.phase === 'loaded' ? this.unloadWhenLoaded : NOW
  }

  /** When the unload is due, if the session is loaded. */
  get unloadWhenLoaded(): number {
    if (this.reason === 'expired') return NOW
    if (this.pages > 0 || this.navigations > 0 || (this.requests > 0 && !this.hadPage)) return NEVER
    return Math.max(this.#unloadAt, this.#expected.at(-1) ?? 0)
  }

  /** When this process stops keeping the session's state. */
  get endDue(): number {
    if (!this.keepsState || this.here + this.arriving > 0 || this.phase === 'unloading') return NEVER
    return this.#endAt
  }

  /** When {@link stopKeeping} has something to do. */
  get due(): number {
    return Math.min(this.unloadDue, this.endDue)
  }

  /** Rows 14 and 17: this process no longer keeps what is due. @returns whether anything was */
  stopKeeping(now: number): boolean {
    const unloads = this.unloadDue <= now
    const ends = this.endDue <= now
    if (unloads) this.keepsLoaded = false
    if (ends) this.keepsState = false
    return unloads || ends
  }

  /** Row 15: unload hooks begin. Pages are expected no longer. */
  beginUnload(): void {
    this.phase = 'unloading'
    this.#expected = NOTHING
  }

  /** Row 16: unload hooks have run. @returns whether somebody waited, so that the session is loaded again */
  completeUnload(now: number): boolean {
    if (this.phase !== 'unloading') return false
    this.phase = 'unloaded'
    if (this.waiting === 0) return false
    this.#load(this.load + 1)
    this.#release(now)
    return true
  }

  /** Row 18: what the cluster has answered about a visitor, who enters next. @returns whether this is news of a load */
  answered({ phase, load, hadPage }: Admitted, now: number): boolean {
    if (phase !== 'unloading') return this.loadedElsewhere(load, hadPage, now)
    if (this.phase === 'loaded') this.unloadedElsewhere()
    this.load = load
    return false
  }

  /** Row 19, and 16 in a cluster: unload hooks have begun on another node, or have run here. */
  unloadedElsewhere(): void {
    this.phase = 'unloaded'
    this.#expected = NOTHING
  }

  /** Row 20: the session was loaded by any node. @returns whether this is news */
  loadedElsewhere(load: number, hadPage: boolean, now: number): boolean {
    const isNews = this.phase !== 'loaded' || this.load !== load
    this.#load(load)
    this.hadPage ||= hadPage
    this.everHadPage ||= hadPage
    this.reason = 'disconnected'
    this.#release(now)
    return isNews
  }

  /** … and kept by who is here. @returns whether the others have to be told */
  keepLoaded(now: number): boolean {
    if (this.keepsLoaded || this.unloadWhenLoaded <= now) return false
    this.keepsLoaded = true
    return true
  }

  /** Row 21: a page connected on another node. */
  pageElsewhere(isExpectedHere: boolean, now: number): void {
    this.hadPage = this.everHadPage = true
    if (isExpectedHere) this.meetExpectation(now)
  }

  #load(load: number): void {
    this.phase = 'loaded'
    this.load = load
    this.hadPage = this.pages > 0
  }

  /** The session is loaded: those who waited go on. */
  #release(now: number): void {
    for (const { kind } of this.#waiting ?? []) {
      if (kind !== 'page') this.#putOffUnload(now + this.#rules.unloadDelay)
    }
    this.#goOn()
  }

  #goOn(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    for (const entry of waiting ?? []) {
      entry.waits = false
      entry.released?.()
    }
  }

  #answered({ awaitPage }: Departure, now: number): void {
    this.navigations--
    this.#expected = this.expected(now)
    if (this.#early > 0) this.#early--
    else if (awaitPage) this.#expected = [...this.#expected, now + PAGE_LOAD]
  }

  /** Row 10. The navigation of the reload may be here already, or even have been answered. */
  #expectReload(now: number): boolean {
    this.#expected = this.expected(now)
    if (this.navigationsWithoutPage > 0 || this.#expected.length > 0) return false
    this.#expected = [now + PAGE_LOAD]
    return true
  }

  #putOffUnload(until: number): void {
    this.#unloadAt = Math.max(this.#unloadAt, until)
  }
}
const NOW = 0
const NEVER = Number.POSITIVE_INFINITY
const NOTHING: readonly number[] = []
/** How long after a socket broke its page may take to reconnect: measured reconnects take less than a second. */
export const RECONNECT = 1_500
/** How long a page may take from the end of its HTML until its script connects. */
const PAGE_LOAD = 30_000
