import type { Deadlines, Due } from '../core/deadlines.js'

/**
 * Beats are due at whole steps of the clock, so that those of many pages share a turn of the event loop. A power of two, since
 * it is then also where the timing wheel has a slot begin, at which it would wake to move nodes down. Pages that connect
 * in a burst stay spread by it.
 */
const STEP = 64

/** Schedules the next beat of a connection. @param heartbeat milliseconds between two */
export function scheduleBeat(deadlines: Deadlines, beat: Due, heartbeat: number): void {
  const { now } = deadlines
  // Down, as a beat comes a little later than it is due: the next one would be a step too late each time.
  deadlines.schedule(beat, Math.floor((now + heartbeat) / STEP) * STEP - now)
}
