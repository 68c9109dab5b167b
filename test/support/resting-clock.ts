import { duration } from '../../lib/parse.ts'
import type { FakeClock } from '../../lib/testing/index.ts'

/** A fake clock that waits for more than promises. */
export interface RestingClockOptions {
  /** What the wall clock shows at the start, in milliseconds since the epoch. */
  readonly wall: number
  /** Waits until what was set off has happened: before each step of the time, and after. */
  rest(): Promise<void>
  /** The time has moved. */
  moved?(now: number): void
  /** Timers that aren't counted. */
  isHidden?(run: () => void): boolean
}

/** Goes from timer to timer as `fakeClock()` does; what that sets off elsewhere has happened before it goes further. */
export function restingClock({ wall, rest, moved, isHidden }: RestingClockOptions): FakeClock {
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
      return [...timers].filter(({ run }) => !isHidden?.(run)).length
    },
  }
}
