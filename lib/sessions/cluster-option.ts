import type { Coordinator } from './coordinator.js'

// Registered symbol, so that a cluster made by the CommonJS build works with the ESM build in one process.
const CONNECT: unique symbol = Symbol.for('gradio-state.cluster')

/** Connects several processes that share their users' sessions. Made by `redis()`. */
export interface Cluster {
  /** Internal. */
  readonly [CONNECT]: object
}

/** @param make makes the coordinator of one process */
export function clusterOf(make: () => Coordinator): Cluster {
  return Object.freeze({ [CONNECT]: make })
}

/** Returns the function that makes the coordinator, or `undefined` if `option` is no {@link Cluster}. */
export function coordinatorOf(option: unknown): (() => Coordinator) | undefined {
  if (typeof option !== 'object' || option === null) return undefined
  return (option as { [CONNECT]?: () => Coordinator })[CONNECT]
}
