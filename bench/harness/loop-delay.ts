import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The delay of the event loop, in milliseconds. */
export interface LoopDelay {
  readonly p99: number
  readonly longest: number
}

/** Watches the event loop of this process until the returned function is called. */
export function watchLoop(): () => LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION })
  histogram.enable()
  return () => {
    histogram.disable()
    // It records the time between two of its ticks (Node.js docs, perf_hooks.monitorEventLoopDelay).
    const delay = (nanoseconds: number) => Math.max(nanoseconds / 1e6 - RESOLUTION, 0)
    return { p99: delay(histogram.percentile(99)), longest: delay(histogram.max) }
  }
}

/** The finest resolution, in milliseconds. */
const RESOLUTION = 1
