import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisNode } from '../servers/redis-cluster.ts'
import { assertFinished, assertNoRepeats, countBy, of } from './event-checks.ts'
import { startNodes } from './node-processes.ts'
import { begin, inBatches } from './returning-users.ts'
import type { ClusterEvent, RedisAt } from './types.ts'

export interface OutageReport {
  readonly requests: number
  /** The longest duration of a request, in milliseconds. */
  readonly slowest: number
  readonly leftMeanwhile: number
  readonly stayed: number
}

/**
 * Redis dies under load, and comes back with its data. Meanwhile local values work, and nothing is deleted; users who
 * left then are unloaded and end afterwards, and the others stay.
 * @param isWhole whether nothing else is left: the data on other masters of a cluster remains usable
 */
export async function outage(
  redisAt: RedisAt,
  redis: Pick<RedisNode, 'start' | 'stop'>,
  users: number,
  seconds: number,
  isWhole = true,
): Promise<OutageReport> {
  const cluster = await startNodes(redisAt, { gracePeriod: 2, unloadDelay: 0.5 }, 2)
  let isOn = true
  try {
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`))
    const leaving = visits.slice(0, users / 3)
    const staying = visits.slice(users / 3)
    let requests = 0
    let slowest = 0
    const use = async () => {
      while (isOn) {
        const { user, node, session } = staying[Math.floor(Math.random() * staying.length)]!
        const begun = performance.now()
        const { status, body } = await node.ask('POST', '/touch', user)
        assert.equal(status, 200)
        assert.equal(body.id, session)
        slowest = Math.max(slowest, performance.now() - begun)
        requests++
        await sleep(20)
      }
    }
    const load = Promise.all(Array.from({ length: 2 }, use))
    // So that a failure is reported at the end, and not before.
    load.catch(() => {})
    await sleep(500)
    await redis.stop()
    const downAt = Date.now()
    await Promise.all(
      leaving.map(async ({ page }, index) => {
        await sleep(Math.random() * seconds * 800)
        if (index % 2 === 0) await page.close()
        else page.drop()
      }),
    )
    // New users can still start a session.
    const newcomers = await inBatches(6, index => begin(cluster, `newcomer-${index}`))
    await sleep(downAt + seconds * 1000 - Date.now())
    const atStart = cluster.events()
    await redis.start()
    const meanwhile = atStart.filter(event => isDeparture(event) && event.at > downAt)
    if (isWhole) assert.deepEqual(meanwhile, [], 'that nothing is deleted while Redis is away')
    const left = leaving.map(({ session }) => session)
    await cluster.until(
      events => left.every(session => countBy(events, 'ended').has(session)),
      30,
      'that those end who left meanwhile',
    )
    await sleep(3_000)
    isOn = false
    await load
    const events = cluster.events()
    assertFinished(events, left)
    assertNoRepeats(events)
    const here = new Set([...staying, ...newcomers].map(({ session }) => session))
    const gone = events.filter(event => here.has(event.session) && isDeparture(event))
    assert.deepEqual(gone, [], 'that nobody is taken for gone who is here')
    for (const { page } of [...staying, ...newcomers]) await page.close()
    const all = new Set([...visits, ...newcomers].map(({ session }) => session))
    await cluster.until(events => countBy(events, 'ended').size >= all.size, 30, 'that all sessions end')
    await sleep(500)
    assertFinished(cluster.events(), all)
    assertNoRepeats(cluster.events())
    await cluster.untilEmpty()
    return { requests, slowest: Math.round(slowest), leftMeanwhile: left.length, stayed: staying.length }
  } finally {
    isOn = false
    await cluster.remove()
  }
}

export interface ForgottenReport {
  readonly open: number
  readonly closed: number
  readonly moved: number
}

/** Redis comes back empty: sessions of the nodes continue, with their local values, and closed ones end after the grace period. */
export async function forgotten(redis: RedisNode, users: number): Promise<ForgottenReport> {
  // Long enough for users to move to another node within it on a busy machine.
  const cluster = await startNodes({ url: redis.url }, { gracePeriod: 15, unloadDelay: 0.5 }, 2)
  try {
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`))
    const open = visits.filter((_, index) => index % 3 === 0)
    const closed = visits.filter((_, index) => index % 3 === 1)
    const moving = visits.filter((_, index) => index % 3 === 2)
    // These have been unloaded and loaded again by another node when Redis loses them; the first node doesn't know.
    for (const { page } of moving) await page.close()
    await cluster.until(events => of(events, 'unload').length === moving.length, 10, 'their unload')
    const moved = await Promise.all(
      moving.map(async ({ user, node, session }) => {
        const other = cluster.any(node)
        const page = await other.open(user, `${user}-page-2`)
        const { body } = await other.ask('POST', '/visit', user)
        assert.equal(body.id, session)
        return page
      }),
    )
    for (const { page } of closed) await page.close()
    await redis.stop()
    await redis.forget()
    await sleep(500)
    await redis.start()
    await sleep(500)
    const closedOnes = closed.map(({ session }) => session)
    await cluster.until(
      events => closedOnes.every(session => countBy(events, 'ended').has(session)),
      30,
      'that those end who had left',
    )
    await sleep(1_000)
    const events = cluster.events()
    assertFinished(events, closedOnes)
    assertNoRepeats(events)
    const here = new Set([...open, ...moving].map(({ session }) => session))
    const gone = events.filter(
      ({ what, session }) => here.has(session) && (what === 'ended' || what === 'delete'),
    )
    assert.deepEqual(gone, [], 'that nobody ends who is here')
    for (const { user, session, node } of open) {
      const { body } = await node.ask('POST', '/touch', user)
      assert.deepEqual(body, { id: session, gallery: [node.name, node.name] }, 'with their values')
    }
    for (const page of [...open.map(({ page }) => page), ...moved]) await page.close()
    await cluster.until(events => countBy(events, 'ended').size >= users, 30, 'that all sessions end')
    await sleep(500)
    assertNoRepeats(cluster.events())
    assertFinished(
      cluster.events(),
      visits.map(({ session }) => session),
    )
    await cluster.untilEmpty()
    return { open: open.length, closed: closed.length, moved: moved.length }
  } finally {
    await cluster.remove()
  }
}

function isDeparture({ what }: ClusterEvent): boolean {
  return what === 'unload' || what === 'ended' || what === 'delete'
}

/**
 * Redis comes back without the last writes, as after a failover to a replica that lagged, or with
 * `appendfsync everysec`: for sessions that were started, opened or closed then, the nodes' data counts.
 */
export async function rolledBack(redis: RedisNode, users: number): Promise<void> {
  // An unload that is due before Redis is stopped would run again after it was restored: Redis has lost its completion.
  const cluster = await startNodes({ url: redis.url }, { gracePeriod: 12, unloadDelay: 10 }, 2)
  try {
    const early = await inBatches(users, index => begin(cluster, `early-${index}`))
    const saved = await redis.save()
    const late = await inBatches(users, index => begin(cluster, `late-${index}`))
    const closed = [...early, ...late].filter((_, index) => index % 3 === 0)
    for (const { page } of closed) await page.close()
    await redis.stop()
    await saved.restore()
    await redis.start()
    const left = closed.map(({ session }) => session)
    await cluster.until(
      events => left.every(session => countBy(events, 'ended').has(session)),
      20,
      'that those end who left',
    )
    await sleep(1_000)
    assertFinished(cluster.events(), left)
    const staying = [...early, ...late].filter(user => !closed.includes(user))
    const here = new Set(staying.map(({ session }) => session))
    assert.deepEqual(
      cluster.events().filter(event => here.has(event.session) && isDeparture(event)),
      [],
    )
    for (const { user, node, session, page } of staying) {
      const { body } = await node.ask('POST', '/touch', user)
      assert.equal(body.id, session)
      await page.close()
    }
    await cluster.until(events => countBy(events, 'ended').size >= 2 * users, 20, 'that all sessions end')
    await sleep(500)
    assertNoRepeats(cluster.events())
    assertFinished(
      cluster.events(),
      [...early, ...late].map(({ session }) => session),
    )
    await cluster.untilEmpty()
  } finally {
    await cluster.remove()
  }
}
