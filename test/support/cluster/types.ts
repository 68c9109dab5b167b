import type { GradioStateOptions } from '../../../lib/index.ts'

/** The address of the Redis of a cluster's nodes. */
export type RedisAt = { readonly url: string } | { readonly ports: readonly number[] }

/** The settings of a node. */
export interface NodeSettings {
  readonly name: string
  /** The node's name: for its log, its address and its files. */
  readonly folder: string
  readonly redisAt: RedisAt
  readonly prefix: string
  readonly options: Pick<GradioStateOptions, 'gracePeriod' | 'unloadDelay' | 'hookTimeout' | 'heartbeat'>
}

/** One line of a node's log. */
export interface ClusterEvent {
  readonly what: 'load' | 'unload' | 'ended' | 'delete' | 'shared' | 'error' | 'aborted' | 'closed'
  readonly session: string
  /** The reason of the library, or the code of an error. */
  readonly key: string
  readonly reason?: string
  readonly value?: string
  readonly node: string
  /** On the machine's wall clock, which all nodes share. */
  readonly at: number
}
