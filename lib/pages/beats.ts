import type { Deadlines, Due } from '../util/scheduler.js'

/**
 * Beats are due at whole steps of the clock, so that those of many pages share a turn of the event loop. A power of two, since
 * it is then also where the timing wheel has a slot begin, at which it would wake to move nodes down. Pages that connect
 * in a burst stay spread by it.
 */
const STEP = 64

/** The beats of all connections of an instance. */
export class Beats {
  readonly deadlines: Deadlines
  /** Milliseconds between two beats of a connection. */
  readonly interval: number

  constructor(deadlines: Deadlines, interval: number) {
    this.deadlines = deadlines
    this.interval = interval
  }

  /** Schedules the next beat of a connection. */
  schedule(beat: Due): void {
    const { now } = this.deadlines
    // Down, as a beat comes a little later than it is due: the next one would be a step too late each time.
    this.deadlines.schedule(beat, Math.floor((now + this.interval) / STEP) * STEP - now)
  }
}
