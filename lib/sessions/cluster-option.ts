import type { Coordinator } from './coordinator.js'

// Registered symbol, so that a cluster created by the CommonJS build works with the ESM build in one process.
const CONNECT: unique symbol = Symbol.for('gradio-state.cluster')

/** Connects several processes that share their users' sessions. Created by `redis()`. */
export interface Cluster {
  /** Internal. */
  readonly [CONNECT]: object
}

/** @param make creates the coordinator of one process */
export function clusterOf(make: () => Coordinator): Cluster {
  return Object.freeze({ [CONNECT]: make })
}

/** Returns the function that creates the coordinator, or `undefined` if `option` isn't a {@link Cluster}. */
export function coordinatorOf(option: unknown): (() => Coordinator) | undefined {
  if (typeof option !== 'object' || option === null) return undefined
  return (option as { [CONNECT]?: () => Coordinator })[CONNECT]
}
