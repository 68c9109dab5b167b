import type { GradioStateOptions } from '../../../lib/index.ts'

/** Where the Redis of a cluster's nodes is. */
export type RedisAt = { readonly url: string } | { readonly ports: readonly number[] }

/** What a node is started with. */
export interface NodeSettings {
  readonly name: string
  /** Its own: for its log, its address and its files. */
  readonly folder: string
  readonly redisAt: RedisAt
  readonly prefix: string
  readonly options: Pick<GradioStateOptions, 'gracePeriod' | 'unloadDelay' | 'hookTimeout' | 'heartbeat'>
}

/** One line of a node's log. */
export interface ClusterEvent {
  readonly what: 'load' | 'unload' | 'ended' | 'delete' | 'shared' | 'error' | 'aborted' | 'closed'
  readonly session: string
  /** The library's, or the code of an error. */
  readonly key: string
  readonly reason?: string
  readonly value?: string
  readonly node: string
  /** By the wall clock of the machine, which all nodes share. */
  readonly at: number
}
