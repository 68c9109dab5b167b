/** The longest delay that `setTimeout` takes: a longer one overflows and fires after 1 ms (Node.js docs, timers). */
export const MAX_TIMEOUT = 2 ** 31 - 1

/** Where the library gets its time from. Replace it in tests by `fakeClock()` of `gradio-state/testing`. */
export interface Clock {
  /** Milliseconds on a monotonic clock: only differences have a meaning, and it never jumps. */
  now(): number
  /** Milliseconds since the epoch, for what people read. No deadline is reckoned by it. */
  wall(): number
  /** Runs `run` once after `ms` milliseconds and doesn't keep the process alive. Returns what cancels it. */
  setTimer(run: () => void, ms: number): () => void
}

/** The clock of the machine: `performance.now()`, `Date.now()` and unref'd timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimer(run, ms) {
    if (ms <= 0) {
      // Not unref'd: libuv doesn't wake for such an immediate, it would run when something else does. It holds the
      // process for one turn only.
      const immediate = setImmediate(run)
      return () => clearImmediate(immediate)
    }
    const timeout = setTimeout(run, Math.min(ms, MAX_TIMEOUT)).unref()
    return () => clearTimeout(timeout)
  },
}
