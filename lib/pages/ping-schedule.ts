import type { Deadlines, Due } from '../util/scheduler.js'

/**
 * Pings are due at multiples of this many milliseconds, so that pings of many pages are sent in one turn of the event loop. Pages that
 * connect in a burst still stay spread. A power of two, like the slots of the timer wheel, so no additional timer fires.
 */
const STEP = 64

/** Schedules the pings of all sockets of an instance. */
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
    // Rounded down: timers fire a little late, so rounding up would delay each ping by a further step.
    this.#deadlines.schedule(ping, Math.floor((now + this.interval) / STEP) * STEP - now)
  }

  cancel(ping: Due): void {
    this.#deadlines.cancel(ping)
  }
}
