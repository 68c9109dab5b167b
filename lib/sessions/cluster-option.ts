import type { Coordinator } from './coordinator.js'

// Registered, so that what the CommonJS copy of this package has made works with the ESM copy in one process.
const CONNECT: unique symbol = Symbol.for('gradio-state.cluster')

/** What several processes share their users' sessions by. Made by `redis()`. */
export interface Cluster {
  /** Internal. */
  readonly [CONNECT]: object
}

/** @param make gives each process a coordinator of its own */
export function clusterOf(make: () => Coordinator): Cluster {
  return Object.freeze({ [CONNECT]: make })
}

/** What makes the coordinator; `undefined` for what is no {@link Cluster}. */
export function coordinatorOf(option: unknown): (() => Coordinator) | undefined {
  if (typeof option !== 'object' || option === null) return undefined
  return (option as { [CONNECT]?: () => Coordinator })[CONNECT]
}
