import { setImmediate as turn } from 'node:timers/promises'
import { type Duration, duration } from '../parse.js'
import type { Clock } from '../util/clock.js'

/** A clock that stands still until `advance()` is called. For tests: `gradioState({ clock: fakeClock() })`. */
export interface FakeClock extends Clock {
  /**
   * Advances the time. Timers that become due run in order; after each one, the promises that it resolves settle before
   * the next one runs. It doesn't wait for I/O, such as a file being written.
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
  /** The initial wall clock time, in milliseconds since the epoch. */
  readonly wall: number
  /** Waits until everything that is in progress has settled. Called before the first timer, and after each. */
  rest(): Promise<void>
  /** Called when the time has advanced. */
  moved?(now: number): void
}

/** Internal: a fake clock that advances from timer to timer, and waits for `rest()` after each. */
export function steppedClock({ wall, rest, moved }: SteppedClockOptions): FakeClock {
  const timers = new Set<{ readonly due: number; readonly run: () => void }>()
  let now = 0

  function earliest(until: number) {
    let found: { readonly due: number; readonly run: () => void } | undefined
    for (const timer of timers) if (timer.due <= until && !(found && found.due <= timer.due)) found = timer
    return found
  }

  function advanceTo(to: number): void {
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
      const bounds = { from: 0, to: Number.MAX_SAFE_INTEGER, usual: Number.POSITIVE_INFINITY }
      const until = now + duration('the time to advance', time, bounds)
      await rest()
      for (let timer = earliest(until); timer !== undefined; timer = earliest(until)) {
        timers.delete(timer)
        advanceTo(timer.due)
        timer.run()
        await rest()
      }
      advanceTo(until)
    },
    get timers() {
      return timers.size
    },
  }
}
