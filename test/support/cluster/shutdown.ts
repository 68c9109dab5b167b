import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertFinished, assertNoErrors, assertNoRepeats, countBy, of } from './event-checks.ts'
import { type ClusterNode, startNodes } from './node-processes.ts'
import { begin, inBatches } from './returning-users.ts'
import type { RedisAt } from './types.ts'

export interface ShutdownReport {
  readonly moved: number
  /** Sessions whose users did not connect to another node. */
  readonly left: number
  readonly took: number
}

/** A node closes: its users continue on other nodes, without its local values. */
export async function shutdown(redisAt: RedisAt, users: number): Promise<ShutdownReport> {
  const cluster = await startNodes(redisAt, { gracePeriod: 10, unloadDelay: 0.5 })
  try {
    const [leaver, ...others] = cluster.nodes as [ClusterNode, ...ClusterNode[]]
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`))
    const held = visits.filter(({ node }) => node === leaver)
    const moving = held.filter((_, index) => index % 4 !== 0)
    const lost = held.filter((_, index) => index % 4 === 0)
    const begun = Date.now()
    leaver.signal('SIGTERM')
    await cluster.until(events => of(events, 'closed').length > 0, 10, 'that it closes')
    const took = Date.now() - begun
    const moved = await Promise.all(
      moving.map(async ({ user, page, session }, index) => {
        await page.over
        await sleep(Math.random() * 700)
        const other = others[index % others.length]!
        const again = await other.open(user, page.id)
        const { body } = await other.ask('POST', '/touch', user)
        assert.deepEqual(body, { id: session, gallery: [other.name] })
        return again
      }),
    )
    const atMove = cluster.events()
    const gone = new Set(lost.map(({ session }) => session))
    assert.deepEqual(
      of(atMove, 'ended').filter(({ session }) => !gone.has(session)),
      [],
      'that no session ends whose user is here',
    )
    const deleted = of(atMove, 'delete')
    assert.equal(deleted.length, held.length)
    for (const { node, reason } of deleted)
      assert.deepEqual({ node, reason }, { node: leaver.name, reason: 'shutdown' })
    await cluster.until(
      events => of(events, 'ended').length === lost.length,
      20,
      'that those end who are gone',
    )
    await sleep(2_000)
    const later = cluster.events()
    assert.equal(of(later, 'ended').length, lost.length)
    const here = new Set(moving.map(({ session }) => session))
    assert.deepEqual(
      of(later, 'unload').filter(({ session }) => here.has(session)),
      [],
    )
    for (const page of moved) await page.close()
    for (const { node, page } of visits) if (node !== leaver) await page.close()
    await cluster.until(events => of(events, 'ended').length >= users, 20, 'that all end')
    await sleep(500)
    assertFinished(
      cluster.events(),
      visits.map(({ session }) => session),
    )
    assertNoRepeats(cluster.events())
    assertNoErrors(cluster.events())
    await cluster.untilEmpty()
    return { moved: moved.length, left: lost.length, took }
  } finally {
    await cluster.remove()
  }
}

export interface EndReport {
  readonly ended: number
  /** How many had values on two nodes. */
  readonly onTwo: number
}

/** Two nodes end the same sessions at the same time; and an error is reported for those that had values on both. */
export async function endTwice(redisAt: RedisAt, users: number): Promise<EndReport> {
  const cluster = await startNodes(redisAt, { gracePeriod: 30, unloadDelay: 30 })
  try {
    const [one, other] = cluster.nodes as [ClusterNode, ClusterNode]
    const ids: string[] = []
    await inBatches(users, async index => {
      const { user, session } = await begin(cluster, `user-${index}`, one)
      const path = index % 2 === 0 ? '/touch' : '/visit'
      const { body } = await other.ask('POST', path, user)
      assert.equal(body.id, session)
      ids.push(session)
      const ends = await Promise.all([one.ask('POST', '/end', user), other.ask('POST', '/end', user)])
      for (const { status } of ends) assert.equal(status, 200)
    })
    await cluster.until(events => countBy(events, 'ended').size >= users, 20, 'that all end')
    await sleep(1_500)
    const events = cluster.events()
    assertFinished(events, ids)
    assert.equal(of(events, 'unload').length, users)
    assert.equal(of(events, 'ended').length, users)
    const onTwo = Math.ceil(users / 2)
    assert.equal(of(events, 'delete').length, users + onTwo, 'a deletion on each node that had a value')
    assertNoRepeats(events)
    await cluster.untilEmpty()
    return { ended: users, onTwo }
  } finally {
    await cluster.remove()
  }
}

/** Users with a page, whose requests reach two nodes in turn, with local values on both. Returns the number of errors. */
export async function onTwoNodes(redisAt: RedisAt, users: number): Promise<Record<string, number>> {
  const cluster = await startNodes(redisAt, { gracePeriod: 1, unloadDelay: 0.2 }, 2)
  try {
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`))
    for (let turn = 0; turn < 2; turn++) {
      await inBatches(users, async index => {
        for (const node of cluster.nodes) {
          const { status } = await node.ask('POST', '/touch', `user-${index}`)
          assert.equal(status, 200)
        }
      })
    }
    for (const { page } of visits) await page.close()
    await cluster.until(events => countBy(events, 'ended').size === users, 20, 'that all end')
    const reported = of(cluster.events(), 'error')
    for (const { key } of reported) assert.equal(key, 'VALUES_ON_TWO_NODES')
    await cluster.untilEmpty()
    return Object.fromEntries(
      cluster.nodes.map(({ name }) => [name, reported.filter(({ node }) => node === name).length]),
    )
  } finally {
    await cluster.remove()
  }
}
