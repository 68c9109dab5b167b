import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertFinished, assertNoErrors, assertNoRepeats, countBy, of } from './event-checks.ts'
import type { ClusterPage } from './node-page.ts'
import { type Cluster, type ClusterNode, startNodes } from './node-processes.ts'
import type { ClusterEvent, RedisAt } from './types.ts'

/** The grace period of these runs, in seconds. Long enough to return within it on a busy machine. */
const GRACE = 15
/** How long users stay away at most, in seconds: for some of them longer than the unload takes. */
const AWAY = 2.3

export interface SpreadReport {
  readonly sessions: number
  /** Users who returned on another node within the grace period. */
  readonly returned: number
  /** Those of them who had been unloaded. */
  readonly reloaded: number
  readonly events: number
  /** From the departure of the last page to the end of the last session, in milliseconds. */
  readonly drained: number
}

/**
 * Users with a page each, on a random node, some of whom return on another one within the grace period. All their
 * data exists until they have left permanently, and is then deleted once.
 */
export async function spread(redisAt: RedisAt, users: number, returning: number): Promise<SpreadReport> {
  const cluster = await startNodes(redisAt, { gracePeriod: GRACE, unloadDelay: 0.5 })
  try {
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`))
    const comeBack = visits.slice(0, returning)
    const stay = visits.slice(returning)
    // A broken socket is unloaded after 2 s: so some return before that, some after.
    const back = await Promise.all(comeBack.map(user => comeAgain(cluster, user)))
    const inTime = back.filter(({ isInTime }) => isInTime)
    assert.ok(inTime.length > returning / 2, `that most have come back in time, not only ${inTime.length}`)
    const atReturn = cluster.events()
    for (const { session } of inTime) {
      const taken = atReturn.filter(event => event.session === session && isDeletion(event))
      assert.deepEqual(taken, [], 'that nothing of them was deleted')
    }
    assert.deepEqual(
      stay.flatMap(({ session }) =>
        atReturn.filter(event => event.session === session && event.what !== 'load'),
      ),
      [],
      'that those who stayed are untouched',
    )
    const pages = [...stay.map(({ page }) => page), ...back.map(({ page }) => page)]
    await inBatches(pages.length, async index => {
      if (index % 2 === 0) await pages[index]!.close()
      else pages[index]!.drop()
    })
    const left = Date.now()
    const sessions = new Set([...visits.map(({ session }) => session), ...back.map(({ session }) => session)])
    await cluster.until(events => of(events, 'ended').length >= sessions.size, 60, 'that all sessions end')
    const drained = Date.now() - left
    // Repetitions are always late.
    await sleep(1_000)
    const events = cluster.events()
    assertNoRepeats(events)
    assertFinished(events, sessions)
    assert.equal(countBy(events, 'ended').size, sessions.size)
    assert.equal(of(events, 'delete').length, visits.length, 'one deletion for each value')
    assertNoErrors(events)
    const loads = countBy(events, 'load')
    await cluster.untilEmpty()
    return {
      sessions: sessions.size,
      returned: inTime.length,
      reloaded: inTime.filter(({ session }) => loads.get(session) === 2).length,
      events: events.length,
      drained,
    }
  } finally {
    await cluster.remove()
  }
}

interface UserOnNode {
  readonly user: string
  readonly session: string
  readonly node: ClusterNode
  readonly page: ClusterPage
}

/** A user opens a page, and uses a value of that node. */
export async function begin(cluster: Cluster, user: string, node = cluster.any()): Promise<UserOnNode> {
  const page = await node.open(user, `${user}-page`)
  const { status, body } = await node.ask('POST', '/touch', user)
  assert.equal(status, 200)
  return { user, session: body.id, node, page }
}

/** The page leaves, and returns on another node. */
async function comeAgain(cluster: Cluster, { user, session, node, page }: UserOnNode) {
  await sleep(Math.random() * 2_000)
  const isGoodbye = Math.random() < 0.5
  const leftAt = Date.now()
  if (isGoodbye) await page.close()
  else page.drop()
  await sleep(Math.random() * AWAY * 1000)
  const other = cluster.any(node)
  // After a goodbye, it is another document.
  const again = await other.open(user, isGoodbye ? `${user}-page-2` : page.id)
  const isInTime = again.openedAt < leftAt + GRACE * 1000
  const { body } = await other.ask('POST', '/visit', user)
  if (isInTime) assert.equal(body.id, session, 'the same session on the other node')
  return { page: again, isInTime, session: body.id as string }
}

function isDeletion({ what }: ClusterEvent): boolean {
  return what === 'ended' || what === 'delete'
}

/** Calls `work` for each number below `count`, a hundred at a time. */
export async function inBatches<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let index = 0; index < count; index += 100) {
    const size = Math.min(100, count - index)
    results.push(...(await Promise.all(Array.from({ length: size }, (_, offset) => work(index + offset)))))
  }
  return results
}
