import type { Deadlines, Due } from '../util/scheduler.js'

/**
 * Pings are due at multiples of this many milliseconds, so that those of many pages are sent in one turn of the event loop; pages
 * that connect in a burst stay spread. A power of two, as the slots of the timer wheel are, which wakes at their boundaries anyway.
 */
const STEP = 64

/** When the sockets of an instance are pinged. */
export class PingSchedule {
  /** Milliseconds between two pings of a socket. */
  readonly interval: number
  readonly #deadlines: Deadlines

  constructor(deadlines: Deadlines, interval: number) {
    this.interval = interval
    this.#deadlines = deadlines
  }

  scheduleNext(ping: Due): void {
    const { now } = this.#deadlines
    // Rounded down: a timer fires a little late, and each ping would be a step later than the one before.
    this.#deadlines.schedule(ping, Math.floor((now + this.interval) / STEP) * STEP - now)
  }

  cancel(ping: Due): void {
    this.#deadlines.cancel(ping)
  }
}
