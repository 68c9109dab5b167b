import type { Clock } from 'gradio-state'

/** The system's clock, which can be moved forward: everything that becomes due runs at once. */
export interface ShiftedClock extends Clock {
  shift(ms: number): void
}

export function shiftedClock(): ShiftedClock {
  const timers = new Set<{ readonly due: number; fire(): void }>()
  let shifted = 0
  const now = () => performance.now() + shifted
  return {
    now,
    wall: () => Date.now() + shifted,
    setTimer(run, ms) {
      const fire = () => {
        cancel()
        run()
      }
      const timeout = setTimeout(fire, ms)
      const timer = { due: now() + ms, fire }
      const cancel = () => {
        clearTimeout(timeout)
        timers.delete(timer)
      }
      timers.add(timer)
      return cancel
    },
    shift(ms) {
      shifted += ms
      for (const timer of [...timers]) if (timer.due <= now() && timers.has(timer)) timer.fire()
    },
  }
}
