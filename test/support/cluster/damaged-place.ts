import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { RedisClient } from '../../../lib/cluster/redis/index.ts'
import { keyOf } from '../../../lib/cluster/redis/session-links.ts'
import { connected, GRACE_PERIOD, type TestNode, UNLOAD_DELAY } from '../../contract/coordinator-site.ts'
import { redisClock } from '../servers/redis-clock.ts'
import { useRedis } from '../servers/use-redis.ts'
import { keysOf, neighboursOf, tagOf } from './redis-keys.ts'

/** The tokens of the session that is damaged, and of two others of its shard. */
export const HURT = 'hurt'
export const [FINE, OTHER] = neighboursOf(HURT, 2) as [string, string]

/** The options of a shared value without a time to live. */
export const FOREVER = { timeToLive: Number.POSITIVE_INFINITY }

/** Two nodes with those sessions, and their Redis. */
export type DamagedPlace = Awaited<ReturnType<ReturnType<typeof damagedPlaces>>>

/** A Redis for the tests of a file. To be called once. @returns makes a place for one test */
export function damagedPlaces() {
  const used = useRedis()
  let places = 0
  return async (t: TestContext, change: (client: RedisClient) => RedisClient = same) => {
    const { server, client } = used
    const prefix = `damaged-${++places}`
    const clock = redisClock(server)
    const node = () => ({
      coordinator: clock.coordinator(change(client as unknown as RedisClient), prefix),
      holdMessages: unused,
      cut: unused,
      kill: unused,
    })
    const nodes = await connected(t, { clock, node, rest: () => clock.rest() }, 2)
    const [a, b] = nodes as [TestNode, TestNode]
    /** Begins a session on both nodes, with a page and a shared value. */
    const begin = async (token: string) => {
      await a.page(token, `page of ${token}`)
      await b.enter(token)
      await a.coordinator.values.write(token, a.share(token).id, 'cart', 'apple', FOREVER)
      await a.received()
      await b.received()
    }
    for (const token of [HURT, FINE, OTHER]) await begin(token)
    const tag = tagOf(prefix, HURT)
    const key = (kind: string, name = keyOf(HURT)) => `${tag}:${kind}:${name}`
    return { prefix, client, clock, a, b, begin, tag, key, id: a.share(HURT).id }
  }
}

function same<T>(value: T): T {
  return value
}

function unused(): never {
  throw new Error('Not for these tests')
}

/** What can be at a key instead of what belongs there. */
export function otherTypes(
  client: DamagedPlace['client'],
): Readonly<Record<string, (key: string) => Promise<unknown>>> {
  return {
    'a string': key => client.set(key, 'nonsense'),
    'a list': key => client.rPush(key, 'nonsense'),
    'a set': key => client.sAdd(key, 'nonsense'),
    'a sorted set': key => client.zAdd(key, { score: 1, value: 'nonsense' }),
    'a stream': key => client.xAdd(key, '*', { nonsense: '1' }),
    'a hash of something else': key => client.hSet(key, { nonsense: 'nonsense' }),
  }
}

/** The id of a node. */
export function nodeOf({ coordinator }: TestNode): string {
  return (coordinator as unknown as { node: string }).node
}

export const codesOf = ({ problems }: TestNode) =>
  problems.map(error => (error as Error & { code: string }).code)

/**
 * Nothing is left of any session when all have ended.
 * @param others the tokens of more sessions
 */
export async function assertAllEnd(place: DamagedPlace, others: string[] = []): Promise<void> {
  const { a, b, prefix, clock, client } = place
  await a.received()
  await b.received()
  for (const node of [a, b]) {
    for (const token of [HURT, FINE, OTHER, ...others]) {
      const claim = node.has(token) ? await node.leave(token) : undefined
      if (claim !== undefined) await node.coordinator.complete(claim)
    }
  }
  for (const wait of [UNLOAD_DELAY, GRACE_PERIOD, 20]) {
    await clock.advance(wait)
    for (const node of [a, b])
      for (const claim of await node.work()) assert.equal(await node.coordinator.complete(claim), true)
  }
  await clock.advance(61)
  const left = await keysOf(client, `{${prefix}:*}:*`)
  assert.deepEqual(
    left.filter(name => /:(?:s|v|x|xv|r|gone|due|n|old|in):/.test(name)),
    [],
  )
}
