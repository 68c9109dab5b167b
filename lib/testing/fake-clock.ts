import { setImmediate as turn } from 'node:timers/promises'
import { type Duration, duration } from '../parse.js'
import type { Clock } from '../util/clock.js'

/** A clock that stands still until `advance()` is called. For tests: `gradioState({ clock: fakeClock() })`. */
export interface FakeClock extends Clock {
  /**
   * Moves the time on, runs what becomes due on the way in its order, and lets the promises that this sets off settle
   * before it goes further. It doesn't wait for what only the outside world settles, such as a file being written.
   */
  advance(time: Duration): Promise<void>
  /** How many timers are set. */
  readonly timers: number
}

/**
 * Creates a clock for the `clock` option. Import it from `gradio-state/testing`.
 * @param wall the initial wall clock time, in milliseconds since the epoch
 */
export function fakeClock(wall = Date.UTC(2026, 0, 1)): FakeClock {
  return steppedClock({ wall, rest: () => turn() })
}

export interface SteppedClockOptions {
  /** What the wall clock shows at the start, in milliseconds since the epoch. */
  readonly wall: number
  /** Waits until what was set off has happened: before each step of the time, and after. */
  rest(): Promise<void>
  /** The time has moved. */
  moved?(now: number): void
}

/** Internal: a fake clock that goes from timer to timer, and rests before it goes further. */
export function steppedClock({ wall, rest, moved }: SteppedClockOptions): FakeClock {
  const timers = new Set<{ readonly due: number; readonly run: () => void }>()
  let now = 0

  function earliest(until: number) {
    let found: { readonly due: number; readonly run: () => void } | undefined
    for (const timer of timers) if (timer.due <= until && !(found && found.due <= timer.due)) found = timer
    return found
  }

  function go(to: number): void {
    if (to <= now) return
    now = to
    moved?.(now)
  }

  return {
    now: () => now,
    wall: () => wall + now,
    setTimer(run, ms) {
      const timer = { due: now + Math.max(ms, 0), run }
      timers.add(timer)
      return () => {
        timers.delete(timer)
      }
    },
    async advance(time) {
      const until = now + duration('the time to advance', time, { from: 0, to: Number.MAX_SAFE_INTEGER })
      await rest()
      for (let timer = earliest(until); timer !== undefined; timer = earliest(until)) {
        timers.delete(timer)
        go(timer.due)
        timer.run()
        await rest()
      }
      go(until)
    },
    get timers() {
      return timers.size
    },
  }
}
