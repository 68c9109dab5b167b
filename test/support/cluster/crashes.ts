import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertFinished, assertNoRepeats, of, repeats } from './event-checks.ts'
import { type ClusterNode, startNodes } from './node-processes.ts'
import { begin, inBatches } from './returning-users.ts'
import type { ClusterEvent, RedisAt } from './types.ts'

/** For how long others wait for a node's heartbeat, in seconds (lib/cluster/redis/protocol.ts). */
const LEASE = 15
/** How much longer the machine may take. */
const SLACK = 2
const GRACE = 1

export interface CrashReport {
  readonly lost: number
  readonly spared: number
  /** From the kill to the last end of its sessions, in milliseconds. */
  readonly took: number
  /** Hooks that ran again on another node, with the same key. */
  readonly repeated: number
}

/** How a node is killed: at any time, or by a hook with that name, after its effect. */
export type Death = 'at once' | 'unload' | 'ended'

/** A node dies; other nodes finish its work. */
export async function crash(redisAt: RedisAt, users: number, death: Death): Promise<CrashReport> {
  const cluster = await startNodes(redisAt, { gracePeriod: GRACE, unloadDelay: 0.5 })
  try {
    const victim = cluster.nodes[0]!
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`))
    const lost = visits.filter(({ node }) => node === victim)
    const spared = visits.filter(({ node }) => node !== victim)
    // Some users have left already when it dies, and are within their grace period.
    const leaving = lost.filter((_, index) => index % 5 === 0)
    let killedAt: number
    if (death === 'at once') {
      await Promise.all(leaving.map(({ page }) => page.close()))
      await sleep(Math.random() * 1_500)
      killedAt = Date.now()
      victim.signal('SIGKILL')
    } else {
      await victim.ask('POST', `/order/${death}/die/0`)
      await Promise.all(leaving.map(({ page }) => page.close()))
      await cluster.until(events => of(events, death).length > 0, 10, `that the node dies in ${death}`)
      killedAt = of(cluster.events(), death)[0]!.at
    }
    const sessions = lost.map(({ session }) => session)
    const isOver = (events: ClusterEvent[]) => {
      const ended = new Set(of(events, 'ended').map(({ session }) => session))
      return sessions.every(session => ended.has(session))
    }
    await cluster.until(isOver, LEASE + GRACE + SLACK + 10, 'that the others finish what it held')
    // A hook in which the node died has also run here.
    await sleep(1_000)
    const events = cluster.events()
    assertFinished(events, sessions)
    const ends = of(events, 'ended').map(({ at }) => at)
    const took = Math.max(...ends) - killedAt
    assert.ok(took < (LEASE + GRACE + SLACK) * 1000, `that they did so in time: ${took} ms`)
    const repeated = repeats(events)
    for (const { what, node } of repeated) {
      assert.equal(what, death)
      assert.notEqual(node, victim.name)
    }
    if (death === 'at once') assert.deepEqual(repeated, [])
    else {
      const own = of(events, death).filter(({ node }) => node === victim.name)
      assert.equal(own.length, repeated.length, 'that what it had not acknowledged is done again')
    }
    const others = new Set(spared.map(({ session }) => session))
    const touched = events.filter(({ what, session }) => others.has(session) && what !== 'load')
    assert.deepEqual(touched, [], 'that none of another node is touched')
    for (const { page } of spared) assert.equal(page.isOver, false)
    await inBatches(spared.length, async index => spared[index]!.page.close())
    await cluster.until(
      events => new Set(of(events, 'ended').map(({ session }) => session)).size === users,
      30,
    )
    assertFinished(
      cluster.events(),
      visits.map(({ session }) => session),
    )
    await cluster.untilEmpty()
    return { lost: lost.length, spared: spared.length, took, repeated: repeated.length }
  } finally {
    await cluster.remove()
  }
}

export interface PauseReport {
  readonly taken: number
  readonly reopened: number
  readonly kept: number
}

/**
 * A node is paused for longer than its lease, and continues. It drops the work that others have finished; work that others have taken over
 * continues there, and the rest returns to it.
 */
export async function pause(redisAt: RedisAt, users: number, seconds: number): Promise<PauseReport> {
  const grace = 1
  const cluster = await startNodes(redisAt, { gracePeriod: grace, unloadDelay: 0.5 })
  try {
    const [victim, ...others] = cluster.nodes as [ClusterNode, ...ClusterNode[]]
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`))
    const spared = visits.filter(({ node }) => node !== victim)
    const held = visits.filter(({ node }) => node === victim)
    const reopening = held.filter((_, index) => index % 3 === 0)
    const leaving = held.filter((_, index) => index % 3 === 1)
    // So that it has claims, or is about to get some.
    await Promise.all(leaving.map(({ page }) => page.close()))
    await sleep(Math.random() * 1_700)
    const pausedAt = Date.now()
    victim.signal('SIGSTOP')
    const reopened = await Promise.all(
      reopening.map(async ({ user, page: before }, index) => {
        before.drop()
        const other = others[index % others.length]!
        const page = await other.open(user, `${user}-page-2`)
        const { body } = await other.ask('POST', '/touch', user)
        return { user, node: other, page, session: body.id as string }
      }),
    )
    await sleep(pausedAt + seconds * 1000 - Date.now())
    const finished = of(cluster.events(), 'ended').map(({ session }) => session)
    const resumedAt = Date.now()
    victim.signal('SIGCONT')
    await cluster.until(
      events =>
        finished.every(session => of(events, 'delete', session).some(({ node }) => node === victim.name)),
      10,
      'that it deletes what it had of sessions that have ended',
    )
    await sleep(1_500)
    const events = cluster.events()
    assertNoRepeats(events)
    assertFinished(events, finished)
    const taken = new Set(finished)
    const late = events.filter(
      ({ what, session, node, at }) =>
        at >= resumedAt &&
        node === victim.name &&
        taken.has(session) &&
        (what === 'unload' || what === 'ended'),
    )
    assert.deepEqual(late, [], 'that it does not act on what others have finished')
    const untouched = new Set([...reopened, ...spared].map(({ session }) => session))
    assert.deepEqual(
      events.filter(({ what, session }) => what === 'ended' && untouched.has(session)),
      [],
    )
    for (const { page } of [...reopened, ...spared]) assert.equal(page.isOver, false)
    for (const { user, node, session } of reopened) {
      const { body } = await node.ask('POST', '/touch', user)
      assert.equal(body.id, session)
    }
    // It works as before: for new users, and for its earlier ones.
    const fresh = await begin(cluster, 'fresh', victim)
    const again = await begin(cluster, held[0]!.user, victim)
    for (const { page } of [...spared, ...reopened, fresh, again]) await page.close()
    const all = new Set([...visits, ...reopened, fresh, again].map(({ session }) => session))
    await cluster.until(events => of(events, 'ended').length >= all.size, 30, 'that all sessions end')
    await sleep(500)
    assertFinished(cluster.events(), all)
    await cluster.untilEmpty()
    return { taken: finished.length, reopened: reopened.length, kept: spared.length }
  } finally {
    await cluster.remove()
  }
}

/**
 * A node is paused for so long that others unload its sessions, but don't end them. It continues, and its pages are still
 * connected: so their users are present, and the sessions have to be loaded again.
 */
export async function pauseInGrace(redisAt: RedisAt, users: number, seconds: number): Promise<void> {
  const cluster = await startNodes(redisAt, { gracePeriod: 60, unloadDelay: 0.5 }, 2)
  try {
    const victim = cluster.nodes[0]!
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`, victim))
    victim.signal('SIGSTOP')
    await cluster.until(events => of(events, 'unload').length === users, seconds, 'that the other unloads')
    victim.signal('SIGCONT')
    await sleep(2_000)
    for (const { page } of visits) assert.equal(page.isOver, false)
    for (const { user, session } of visits) {
      const { body } = await victim.ask('POST', '/visit', user)
      assert.equal(body.id, session)
    }
    assert.equal(of(cluster.events(), 'load').length, 2 * users, 'that each is loaded again')
    for (const { page } of visits) await page.close()
    await cluster.until(
      events => of(events, 'unload').length === 2 * users,
      10,
      'that each is unloaded again',
    )
    for (const { user } of visits) await victim.ask('POST', '/end', user)
    assertNoRepeats(cluster.events())
    assertFinished(
      cluster.events(),
      visits.map(({ session }) => session),
    )
    await cluster.untilEmpty()
  } finally {
    await cluster.remove()
  }
}

/** A node is paused during the hooks of an end, and continues after another node has run all of them. */
export async function pauseInHook(redisAt: RedisAt, users: number, seconds: number): Promise<void> {
  const cluster = await startNodes(redisAt, { gracePeriod: 60, unloadDelay: 60 }, 2)
  try {
    const victim = cluster.nodes[0]!
    const visits = await inBatches(users, index => begin(cluster, `user-${index}`, victim))
    await victim.ask('POST', '/order/unload/wait/1')
    const ends = visits.map(({ user }) => victim.ask('POST', '/end', user))
    await cluster.until(events => of(events, 'unload').length === users, 5, 'that it begins to end them')
    victim.signal('SIGSTOP')
    const isOver = (events: ClusterEvent[]) => of(events, 'ended').length >= users
    await cluster.until(isOver, seconds + 5, 'that the other ends them')
    victim.signal('SIGCONT')
    await Promise.all(ends)
    await sleep(1_500)
    const events = cluster.events()
    // The hook that was running when the node was paused runs twice; the rest only on the other node.
    for (const { what, node } of repeats(events))
      assert.deepEqual({ what, node }, { what: 'unload', node: 'B' })
    assert.equal(of(events, 'ended').length, users)
    assert.equal(of(events, 'delete').length, users)
    await cluster.untilEmpty()
  } finally {
    await cluster.remove()
  }
}

/** A session whose node has died is ended while another node is unloading it. */
export async function endInStandIn(redisAt: RedisAt): Promise<void> {
  const cluster = await startNodes(redisAt, { gracePeriod: 60, unloadDelay: 0.5 })
  try {
    const [victim, ...others] = cluster.nodes as [ClusterNode, ...ClusterNode[]]
    const { user, session } = await begin(cluster, 'user', victim)
    for (const node of others) await node.ask('POST', '/order/unload/wait/3')
    victim.signal('SIGKILL')
    await cluster.until(events => of(events, 'unload').length === 1, LEASE + SLACK, 'that it is unloaded')
    const standIn = of(cluster.events(), 'unload')[0]!.node
    const other = others.find(({ name }) => name !== standIn)!
    // It waits for the unload; the end doesn't.
    const waiting = other.ask('POST', '/visit', user)
    await sleep(300)
    await other.ask('POST', `/end/${session}`)
    await waiting
    await cluster.until(events => of(events, 'ended').length === 1, 10, 'that it ends')
    const events = cluster.events().filter(event => event.session === session)
    assertNoRepeats(events)
    assert.ok(of(events, 'ended')[0]!.at >= of(events, 'unload')[0]!.at + 2_900, 'the end after the unload')
    await cluster.untilEmpty()
  } finally {
    await cluster.remove()
  }
}
