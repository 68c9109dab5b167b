import { after, before, describe } from 'node:test'
import express from 'express'
import { createClient } from 'redis'
import type { RedisClient } from '../../../lib/cluster/redis/index.ts'
import { type Cluster, clusterOf } from '../../../lib/sessions/cluster-option.ts'
import { steppedClock } from '../../../lib/testing/fake-clock.ts'
import { type FakeClock, fakeClock } from '../../../lib/testing/index.ts'
import { type ExpressModule, forEachExpress } from '../http/express.ts'
import { type RedisClock, redisClock } from '../servers/redis-clock.ts'
import { stillRedisServer } from '../servers/redis-server.ts'
import { MemoryCluster } from './memory-cluster.ts'
import { MemoryCoordinator } from './memory-coordinator.ts'

/** Where one test has its sessions: options of `gradioState()`. */
export interface Place {
  readonly clock: FakeClock
  /** @default this process is the only one */
  readonly cluster?: Cluster
  /** In seconds. @default 60 minutes */
  readonly gracePeriod?: number
}

/** The place for a suite of tests. */
export interface PlaceSetting {
  readonly isShared: boolean
  /** A new place, for one test. */
  place(): Place
  /** In a cluster: the data of another node, at the place with that clock. */
  beside(clock: FakeClock): Place
  /** Advances past the timers of completed claims of a cluster. */
  calm(clock: FakeClock): Promise<void>
}

/** Declares the same tests for each kind of place. */
export function forEachPlace(define: (setting: PlaceSetting) => void): void {
  describe('in memory', () => define(IN_MEMORY))
  describe('on Redis', () => define(redisSetting()))
}

/** The setting for tests with an app. */
export interface AppSetting extends PlaceSetting {
  /** How many seconds stand for a minute of the grace period, which has 60 of them. */
  readonly minute: number
}

/** Declares the same tests for each version of Express, and in a cluster with one of them. */
export function forEachSetting(define: (express: ExpressModule, setting: AppSetting) => void): void {
  forEachPlace(setting => {
    // The version of Express makes no difference to the cluster.
    if (setting.isShared) define(express, shortened(setting))
    else forEachExpress((_name, express) => define(express, { ...setting, minute: 60 }))
  })
}

/** With a short grace period: a node calls Redis every few seconds, so an hour there takes many calls. */
function shortened(setting: PlaceSetting): AppSetting {
  const minute = 6
  const gracePeriod = 60 * minute
  return {
    ...setting,
    minute,
    place: () => ({ ...setting.place(), gracePeriod }),
    beside: clock => ({ ...setting.beside(clock), gracePeriod }),
  }
}

/** Places in a Redis that the tests of a suite share. Has to be called within `describe`, or for a whole file. */
export function redisSetting(): PlaceSetting {
  let places: Places
  before(async () => {
    places = await openPlaces()
  })
  after(() => places.close())
  return {
    isShared: true,
    place: () => places.place(),
    beside: clock => places.beside(clock),
    calm: clock => clock.advance(VISIBLE),
  }
}

/** A place in a cluster, and its data in this process. */
export interface ClusterOfOne extends Required<Pick<Place, 'clock' | 'cluster'>> {
  readonly coordinator: MemoryCoordinator
  readonly all: MemoryCluster
}

/** A cluster of one process, in memory. */
export function clusterOfOne(): ClusterOfOne {
  const clock = steppedClock({ wall: Date.UTC(2026, 0, 1), rest: () => all.rest() })
  const all = new MemoryCluster(clock)
  const coordinator = new MemoryCoordinator(all)
  return { clock, all, coordinator, cluster: clusterOf(() => coordinator) }
}

/** A Redis with independent places. One is used at a time, since they share the time. */
export interface Places {
  place(): Place
  /** The data of another node at the place with that clock. */
  beside(clock: FakeClock): Place
  close(): Promise<void>
}

export async function openPlaces(): Promise<Places> {
  const server = await stillRedisServer()
  const client = createClient({ socket: { path: server.socket, tls: false } })
  client.on('error', () => {})
  await client.connect()
  const clocks = new Map<FakeClock, { readonly clock: RedisClock; readonly prefix: string }>()
  function beside(of: FakeClock): Place {
    const known = clocks.get(of)
    if (known === undefined) throw new Error('Expected the clock of a place')
    const { clock, prefix } = known
    const make = () => clock.coordinator(client as unknown as RedisClient, prefix)
    return { clock, cluster: clusterOf(make) }
  }
  return {
    place() {
      const clock = redisClock(server)
      clocks.set(clock, { clock, prefix: `place-${clocks.size}` })
      return beside(clock)
    },
    beside,
    async close() {
      client.destroy()
      await server.remove()
    },
  }
}

const IN_MEMORY: PlaceSetting = {
  isShared: false,
  place: () => ({ clock: fakeClock() }),
  beside() {
    throw new Error('Expected a cluster')
  },
  calm: async () => {},
}

/** After how many seconds Redis grants an unfinished claim again. */
const VISIBLE = 15
