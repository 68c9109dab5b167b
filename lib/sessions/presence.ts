import type { EntryAdmission, LeaveOptions, PresenceEntry } from './entry.js'
import { ExpectedPages, RECONNECT } from './expected-pages.js'
import { PageTime } from './page-time.js'

/** Why an unload or an end becomes due by itself. */
export type PresenceReason = 'disconnected' | 'expired'

/** How long after the last page or request has left the unload and the end are due, in milliseconds. */
export interface PresenceRules {
  readonly unloadDelay: number
  readonly gracePeriod: number
}

/**
 * The pages, requests and navigations that are present in one session, and what is due when they leave: until when this process
 * keeps the session loaded, and until when it keeps its state. Has no clock: `now` is always milliseconds on a monotonic clock.
 * The row numbers in the comments refer to the table in docs/decisions/presence.md.
 */
export class Presence {
  /** `unloading`: unload hooks are running. */
  phase: 'loaded' | 'unloading' | 'unloaded' | 'ended' = 'loaded'
  /** Load count, starting at 1. */
  load = 1
  pages = 0
  requests = 0
  /** Whether a page has connected since the load, on any node. */
  hadPage = false
  /** Whether a page has ever connected. */
  everHadPage = false
  /** Why the next unload or end is due. */
  reason: PresenceReason = 'disconnected'
  /** Whether this process reports to other nodes that it keeps the session loaded. */
  keepsLoaded = true
  /** Whether this process reports to other nodes that it keeps the session's state. */
  keepsState = true
  /** Entries that the cluster has not answered yet. Nothing is due meanwhile: a report would overtake them. */
  pendingEntries = 0
  /** The same in scopes of this session. Until then, it can't be unloaded: the entries may load the scopes. */
  pendingInScopes = 0
  readonly #parent: Presence | undefined
  readonly #rules: PresenceRules
  readonly #expectedPages = new ExpectedPages()
  #waiting: Set<PresenceEntry> | undefined
  /** The earliest time of the unload. */
  #unloadAt = 0
  #endAt = Number.POSITIVE_INFINITY
  #pageTime: PageTime | undefined

  /**
   * Row 1: a session is loaded when it begins. A scope is loaded by its first entry, and only while its parent is.
   * @param parent the presence of the session that the scope belongs to
   */
  constructor(rules: PresenceRules, parent?: Presence) {
    this.#rules = rules
    this.#parent = parent
    if (parent === undefined) return
    this.phase = parent.phase === 'unloading' ? 'unloading' : 'unloaded'
    this.load = 0
  }

  /** How many entries are present. */
  get entryCount(): number {
    return this.pages + this.requests + this.navigations
  }

  /** How long pages were connected in total, as far as this process knows. */
  get pageTime(): number {
    return this.#pageTime?.total ?? 0
  }

  /** How many entries wait until the session is loaded again. */
  get waiting(): number {
    return this.#waiting?.size ?? 0
  }

  get navigations(): number {
    return this.#expectedPages.navigations
  }

  /** How many navigations in flight have no page yet. */
  get navigationsWithoutPage(): number {
    return this.#expectedPages.navigationsWithoutPage
  }

  /** The deadlines of the pages that are expected, earliest first. */
  expected(now: number): readonly number[] {
    return this.#expectedPages.deadlines(now)
  }

  /** When the grace period ends if nothing enters; `Infinity` before the first entry has left. */
  get endsAt(): number {
    return this.#endAt
  }

  /** Row 1: the session has begun without an entry, so no leaving entry will set its end. */
  beginWithoutEntry(now: number): void {
    this.#endAt = now + this.#rules.gracePeriod
  }

  /**
   * Rows 2 to 5: a page or request enters. If it enters a scope, it has entered the parent before.
   * @param answer the cluster's answer about this entry, after {@link answered}; without it, this process decides
   * @returns whether the entry has loaded the session, so that its load hooks have to run
   */
  enter(entry: PresenceEntry, now: number, answer?: EntryAdmission): boolean {
    this.keepsLoaded = this.keepsState = true
    this.reason = 'disconnected'
    const isWaiting = (answer?.phase ?? this.phase) === 'unloading'
    const loads = answer === undefined && this.phase === 'unloaded' && this.#mayLoad
    if (loads) this.#load(this.load + 1)
    if (isWaiting) this.wait(entry)
    if (entry.kind === 'page') {
      this.#pageTime ??= new PageTime()
      if (this.pages === 0) this.#pageTime.begin(now)
      this.pages++
      this.hadPage = this.everHadPage = true
      // Firefox closes the socket of a page when a navigation begins, and the page reconnects until it is replaced.
      if (!entry.isReconnect && (answer?.isExpectedHere ?? true)) this.#expectedPages.pageConnected(now)
    } else {
      if (entry.kind === 'request') this.requests++
      else this.#expectedPages.navigations++
      this.#postponeUnload(now + this.#rules.unloadDelay)
    }
    return loads
  }

  /** Row 3: the entry waits until the session is loaded again. */
  wait(entry: PresenceEntry): void {
    entry.isWaiting = true
    this.#waiting ??= new Set()
    this.#waiting.add(entry)
  }

  /** Rows 6 to 11: an entry leaves. @returns whether a page is expected because of a reload */
  leave(entry: PresenceEntry, options: LeaveOptions, now: number): boolean {
    if (entry.left) return false
    let isReload = false
    entry.left = true
    if (entry.isWaiting) this.#waiting?.delete(entry)
    entry.isWaiting = false
    entry.onReleased?.()
    this.#endAt = now + this.#rules.gracePeriod
    const unloadAt = now + this.#rules.unloadDelay
    if (entry.kind === 'page') {
      this.pages--
      this.#pageTime?.count(options.seenAt ?? now)
      this.#postponeUnload(options.abrupt ? unloadAt + RECONNECT : unloadAt)
      // Row 10: the navigation of the reload may be in flight already, or even have been answered.
      if (options.reloads) isReload = this.#expectedPages.pageAnnounced(now)
    } else {
      if (!this.hadPage) this.#postponeUnload(unloadAt)
      if (entry.kind === 'request') this.requests--
      else this.#expectedPages.navigationAnswered(options.awaitPage ?? false, now)
    }
    return isReload
  }

  /** Row 12: the framework session has expired. Its pages have left before. @param endIn milliseconds until the end */
  expire(now: number, endIn: number): void {
    this.reason = 'expired'
    this.#endAt = now + endIn
    this.keepsState = true
  }

  /** Row 13: the session ends, in any phase. */
  end(): void {
    this.phase = 'ended'
    this.keepsLoaded = this.keepsState = false
    this.#expectedPages.clear()
    this.#releaseWaiting(0)
  }

  /** When this process stops keeping the session loaded; `Infinity` while an entry prevents it. */
  get unloadDue(): number {
    if (!this.keepsLoaded || this.waiting + this.pendingEntries + this.pendingInScopes > 0) return NEVER
    return this.phase === 'loaded' ? this.unloadWhenLoaded : NOW
  }

  /** When the unload would be due if the session is loaded. */
  get unloadWhenLoaded(): number {
    if (this.reason === 'expired') return NOW
    if (this.pages > 0 || this.navigations > 0 || (this.requests > 0 && !this.hadPage)) return NEVER
    return Math.max(this.#unloadAt, this.#expectedPages.last)
  }

  /** When this process stops keeping the session's state; `Infinity` while an entry prevents it. */
  get endDue(): number {
    if (!this.keepsState || this.entryCount + this.pendingEntries > 0 || this.phase === 'unloading')
      return NEVER
    return this.#endAt
  }

  /** When {@link stopKeeping} must be called. */
  get due(): number {
    return Math.min(this.unloadDue, this.endDue)
  }

  /** Rows 14 and 17: stops keeping what is due. @returns whether anything was due */
  stopKeeping(now: number): boolean {
    const unloads = this.unloadDue <= now
    const ends = this.endDue <= now
    if (unloads) this.keepsLoaded = false
    if (ends) this.keepsState = false
    return unloads || ends
  }

  /** Row 15: unload hooks begin. Pages are no longer expected. */
  beginUnload(): void {
    this.phase = 'unloading'
    this.#expectedPages.clear()
  }

  /** Row 16: unload hooks have run, first those of the parent. @returns whether an entry has waited, so that the session is loaded again */
  completeUnload(now: number): boolean {
    if (this.phase !== 'unloading') return false
    this.phase = 'unloaded'
    const loads = this.waiting > 0 && this.#mayLoad
    if (loads) this.#load(this.load + 1)
    this.#releaseWaiting(now)
    return loads
  }

  /** Row 18: the cluster has answered about an entry, which enters next. @returns whether this process didn't know of the load */
  answered({ phase, load, hadPage }: EntryAdmission, now: number): boolean {
    if (phase !== 'unloading' && phase !== 'unloaded') return this.loadedElsewhere(load, hadPage, now)
    // A scope with load 0 has no unload hooks of its own to wait for.
    if (this.phase === 'loaded' || load === 0) this.unloadedElsewhere()
    this.load = load
    return false
  }

  /** Row 19, and row 16 in a cluster: unload hooks have begun on another node, or have run on this one. */
  unloadedElsewhere(): void {
    this.phase = 'unloaded'
    this.#expectedPages.clear()
  }

  /** Row 20: the session was loaded by any node. @returns whether this process didn't know of the load */
  loadedElsewhere(load: number, hadPage: boolean, now: number): boolean {
    const isNewLoad = this.phase !== 'loaded' || this.load !== load
    this.#load(load)
    this.hadPage ||= hadPage
    this.everHadPage ||= hadPage
    this.reason = 'disconnected'
    this.#releaseWaiting(now)
    return isNewLoad
  }

  /** Row 20: entries in this process keep that load. @returns whether this has to be reported */
  keepLoaded(now: number): boolean {
    if (this.keepsLoaded || this.unloadWhenLoaded <= now) return false
    this.keepsLoaded = true
    return true
  }

  /** Row 21: a page connected on another node. */
  pageElsewhere(isExpectedHere: boolean, now: number): void {
    this.hadPage = this.everHadPage = true
    if (isExpectedHere) this.#expectedPages.pageConnected(now)
  }

  /** The cluster has answered whether other nodes have pages. */
  notePagesElsewhere(hasPage: boolean, now: number): void {
    if (hasPage) this.#pageTime ??= new PageTime()
    if (this.pages === 0) this.#pageTime?.noteElsewhere(hasPage, now)
  }

  /** The page that a goodbye has announced here is expected on another node. @returns whether it was expected here, too */
  announcedElsewhere(now: number): boolean {
    return this.#expectedPages.announcedElsewhere(now)
  }

  /** A request that is still in flight after the parent's unload doesn't load a scope of it. */
  get #mayLoad(): boolean {
    return this.#parent === undefined || this.#parent.phase === 'loaded'
  }

  #load(load: number): void {
    this.phase = 'loaded'
    this.load = load
    this.hadPage = this.pages > 0
  }

  /** The waiting entries continue. */
  #releaseWaiting(now: number): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    for (const entry of waiting ?? []) {
      if (entry.kind !== 'page') this.#postponeUnload(now + this.#rules.unloadDelay)
      entry.isWaiting = false
      entry.onReleased?.()
    }
  }

  #postponeUnload(until: number): void {
    this.#unloadAt = Math.max(this.#unloadAt, until)
  }
}
const NOW = 0
const NEVER = Number.POSITIVE_INFINITY
