/** The longest delay that `setTimeout` takes: a longer one overflows and fires after 1 ms (Node.js docs, timers). */
export const MAX_TIMEOUT = 2 ** 31 - 1

/** The library's source of time. Tests can replace it with `fakeClock()` of `gradio-state/testing`. */
export interface Clock {
  /** Milliseconds on a monotonic clock: only differences are meaningful, and it never jumps. */
  now(): number
  /** Milliseconds since the epoch, for display only. No deadline depends on it. */
  wall(): number
  /** Calls `run` once after `ms` milliseconds, without keeping the process alive. Returns a function that cancels the timer. */
  setTimer(run: () => void, ms: number): () => void
}

/** The system's clock: `performance.now()`, `Date.now()` and unref'd timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimer(run, ms) {
    if (ms <= 0) {
      // Not unref'd: libuv doesn't wake up for an unref'd immediate. It keeps the process alive for one event-loop tick only.
      const immediate = setImmediate(run)
      return () => clearImmediate(immediate)
    }
    const timeout = setTimeout(run, Math.min(ms, MAX_TIMEOUT)).unref()
    return () => clearTimeout(timeout)
  },
}
