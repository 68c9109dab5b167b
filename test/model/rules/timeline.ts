import type { Due } from '../session.ts'

/** Offers what is due, and what it does then. */
export type Offer = (due: Due | undefined, run: () => void) => void

/** The time of the model. It only advances in `advance`: nothing is asynchronous. */
export class Timeline {
  now = 0
  readonly #timers: { readonly due: Due | undefined; readonly run: () => void }[] = []
  readonly #soon: (() => void)[] = []
  #log: string[] = []
  #lastRunAt = -1
  #serial = 0
  readonly #offerAll: (offer: Offer) => void

  /** @param offerAll offers everything that is due but the timers, again at each step */
  constructor(offerAll: (offer: Offer) => void) {
    this.#offerAll = offerAll
  }

  /** The events since the last call. */
  takeLog(): string[] {
    const log = this.#log
    this.#log = []
    return log
  }

  advance(ms: number): void {
    const until = this.now + ms
    this.#settle()
    for (let next = this.#next(); next.at <= until; next = this.#next()) {
      this.now = this.#lastRunAt = next.at
      next.run()
      this.#settle()
    }
    this.now = until
  }

  /** Whether something was due at the current time. */
  get hasJustRun(): boolean {
    return this.#lastRunAt === this.now
  }

  /** The time until something is due, in milliseconds. */
  get timeToNext(): number {
    return this.#next().at - this.now
  }

  #next(): { readonly at: number; readonly run: () => void } {
    let next = { at: Infinity, serial: Infinity, run: () => {} }
    const offer = (due: Due | undefined, run: () => void) => {
      if (due === undefined || due.at > next.at) return
      if (due.at < next.at || due.serial < next.serial) next = { ...due, run }
    }
    for (const timer of this.#timers) {
      offer(timer.due, () => {
        this.#timers.splice(this.#timers.indexOf(timer), 1)
        timer.run()
      })
    }
    this.#offerAll(offer)
    return next
  }

  in(ms: number): Due | undefined {
    return Number.isFinite(ms) ? { at: this.now + ms, serial: this.order() } : undefined
  }

  /** Returns increasing numbers. */
  order(): number {
    return ++this.#serial
  }

  /** Runs a function later at the same time, like a microtask. */
  soon(run: () => void): void {
    this.#soon.push(run)
  }

  #settle(): void {
    for (let run = this.#soon.shift(); run !== undefined; run = this.#soon.shift()) run()
  }

  later(ms: number, run: () => void): void {
    this.#timers.push({ due: this.in(ms), run })
  }

  say(line: string): void {
    this.#log.push(`${this.now} ${line}`)
  }
}
