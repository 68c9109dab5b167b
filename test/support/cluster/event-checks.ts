import assert from 'node:assert/strict'
import { createClient, type RedisClientType } from 'redis'
import type { RedisCluster } from '../servers/redis-cluster.ts'
import type { ClusterEvent } from './types.ts'

export type What = ClusterEvent['what']

/** The lines of one kind. */
export function of(events: readonly ClusterEvent[], what: What, session?: string): ClusterEvent[] {
  return events.filter(event => event.what === what && (session === undefined || event.session === session))
}

/** How often each session has had an event of that kind. */
export function countBy(events: readonly ClusterEvent[], what: What): Map<string, number> {
  const counts = new Map<string, number>()
  for (const event of events) {
    if (event.what === what) counts.set(event.session, (counts.get(event.session) ?? 0) + 1)
  }
  return counts
}

/** The events that were repeated with the same key. */
export function repeats(events: readonly ClusterEvent[]): ClusterEvent[] {
  const seen = new Set<string>()
  return events.filter(({ what, key }) => {
    if (!HOOKS.has(what)) return false
    const id = `${what} ${key}`
    if (seen.has(id)) return true
    seen.add(id)
    return false
  })
}

/** Each of these sessions was unloaded once for each load, and has ended once, in that order. */
export function assertFinished(events: readonly ClusterEvent[], sessions: Iterable<string>): void {
  const bySession = new Map<string, ClusterEvent[]>()
  for (const event of events) {
    const own = bySession.get(event.session)
    if (own === undefined) bySession.set(event.session, [event])
    else own.push(event)
  }
  for (const session of sessions) {
    const own = bySession.get(session) ?? []
    const serials = (what: What) => of(own, what).map(({ key }) => key.split(':')[2])
    const story = () =>
      own.map(({ what, key, reason, node, at }) => `${at} ${node} ${what} ${key} ${reason}`).join('\n')
    assert.deepEqual(new Set(serials('unload')), new Set(serials('load')), `unloads as loads:\n${story()}`)
    assert.equal(new Set(of(own, 'ended').map(({ key }) => key)).size, 1, `one end:\n${story()}`)
    const last = own.filter(({ what }) => what === 'ended' || what === 'unload').at(-1)
    assert.equal(last?.what, 'ended', `the end last:\n${story()}`)
  }
}

export function assertNoRepeats(events: readonly ClusterEvent[]): void {
  assert.deepEqual(repeats(events), [], 'that no key comes twice')
}

/** No error was emitted, except that Redis was unavailable: so it is for a node that a busy machine keeps from responding within 2 s. */
export function assertNoErrors(events: readonly ClusterEvent[]): void {
  const errors = of(events, 'error').filter(({ key }) => key !== 'CLUSTER_UNAVAILABLE')
  assert.deepEqual(errors, [])
}

/** Redis contains nothing of sessions any more: neither sessions, nor values, nor due work. */
export async function assertEmpty(url: string): Promise<void> {
  assert.deepEqual(await leftovers(url), [])
}

/** The keys of sessions, of their values, and of due work. */
export async function leftovers(url: string): Promise<string[]> {
  const client = createClient({ url }) as RedisClientType
  await client.connect()
  try {
    const left: string[] = []
    for await (const keys of client.scanIterator({ COUNT: 1000 })) left.push(...keys)
    return left.filter(key => LEFTOVER.test(key))
  } finally {
    client.destroy()
  }
}

export async function assertAllEmpty({ nodes }: RedisCluster): Promise<void> {
  for (const { url } of nodes) await assertEmpty(url)
}

const HOOKS: ReadonlySet<What> = new Set(['load', 'unload', 'ended', 'delete'])
/** Sessions, ended ones, values, deleted ones; due work, and the shares of nodes: these lists are deleted when they are empty. */
const LEFTOVER = /^\{[^}]*\}:(?:s|v|x|xv|r|due|n|old):/
