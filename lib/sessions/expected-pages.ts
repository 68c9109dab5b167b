/** How long a page may take to connect after its HTML was sent or it was announced, in milliseconds. */
const PAGE_LOAD = 30_000
const EMPTY: readonly number[] = []

/**
 * The navigations of one session that are in flight, and the pages that are expected to connect: those of answered navigations, and one
 * that a goodbye has announced. Most browsers both send a navigation and announce its page, which counts once.
 */
export class ExpectedPages {
  /** How many navigations are in flight. */
  navigations = 0
  /** The deadlines for the pages of answered navigations, earliest first. */
  #answered = EMPTY
  /** The deadline for the page that a goodbye has announced. Its navigation is not known here, or arrives later. */
  #announced = 0
  /** Pages that connected before their navigation was answered, as the pages of streamed responses do. */
  #early = 0

  /** How many navigations in flight have no page yet. */
  get navigationsWithoutPage(): number {
    return this.navigations - this.#early
  }

  /** When the last expected page is due; 0 if none is expected. */
  get last(): number {
    return Math.max(this.#announced, this.#answered.at(-1) ?? 0)
  }

  /** The deadlines of the pages that are expected, earliest first. */
  deadlines(now: number): readonly number[] {
    const all = this.#announced > 0 ? [this.#announced, ...this.#answered] : this.#answered
    return all.filter(until => until > now)
  }

  /** A page connected. If none is expected, it is that of a navigation in flight. */
  pageConnected(now: number): void {
    this.#announced = 0
    this.#forgetPast(now)
    if (this.#answered.length > 0) this.#answered = this.#answered.slice(1)
    else if (this.#early < this.navigations) this.#early++
  }

  /** A navigation has left. @param isPage whether it was answered with a page */
  navigationAnswered(isPage: boolean, now: number): void {
    this.navigations--
    this.#forgetPast(now)
    if (this.#early > 0) {
      this.#early--
    } else if (isPage) {
      this.#announced = 0
      this.#answered = [...this.#answered, now + PAGE_LOAD]
    }
  }

  /** A goodbye announces the next page. @returns whether no navigation for it is known here */
  pageAnnounced(now: number): boolean {
    if (this.navigationsWithoutPage > 0 || this.deadlines(now).length > 0) return false
    this.#announced = now + PAGE_LOAD
    return true
  }

  /** The announced page is expected on another node. @returns whether it was expected here, too */
  announcedElsewhere(now: number): boolean {
    const wasExpected = this.#announced > now
    this.#announced = 0
    return wasExpected
  }

  /** Navigations in flight stay. */
  clear(): void {
    this.#answered = EMPTY
    this.#announced = 0
  }

  #forgetPast(now: number): void {
    this.#answered = this.#answered.filter(until => until > now)
  }
}

/** How long a page may take to reconnect after its socket broke, in milliseconds. In measurements, pages reconnected within a second. */
export const RECONNECT = 1_500
