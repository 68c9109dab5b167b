// When a store is queried for which session, and how the answers are used.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { GRACE, LIFETIME } from '../support/http/session-app.ts'
import {
  type FrameworkHarness,
  frameworkHarness,
  type HarnessUser,
} from '../support/sessions/framework-harness.ts'
import { TroubledStore } from '../support/stores/troubled-store.ts'

/** The interval of the slow poll, with jitter. */
const POLL = { least: 225, most: 375 }
const KEPT = { gracePeriod: '30d' } as const
/** A cookie that lasts until the browser is closed. */
const UNTIL_CLOSED = { session: { cookie: {} } }

/** The seconds in which the library queries the store, while `seconds` pass. */
async function questions({ clock, store }: FrameworkHarness, seconds: number): Promise<number[]> {
  const asked: number[] = []
  store.trouble = method => {
    if (method === 'get') asked.push(clock.now() / 1000)
    return undefined
  }
  await clock.advance(seconds)
  store.trouble = () => undefined
  return asked
}

/** Another process extends a session: changes what is stored of it. */
function prolong({ store, clock }: FrameworkHarness, { id }: HarnessUser, seconds: number): void {
  const stored = JSON.parse(store.stored(id) as string)
  stored.cookie.expires = new Date(clock.wall() + seconds * 1000)
  store.restore(id, JSON.stringify(stored))
}

it('a session is queried once, when its deadline has passed', async t => {
  const harness = frameworkHarness(t)
  await harness.user().session()
  assert.deepEqual(await questions(harness, LIFETIME + GRACE - 1), [60.05])
  assert.deepEqual(harness.log, ['unload disconnected @2'])
  assert.deepEqual(await questions(harness, 1), [])
  assert.deepEqual(harness.log, ['unload disconnected @2', 'ended expired @3660'])
  assert.deepEqual(await questions(harness, 10 * POLL.most), [], 'what has ended is not asked for any more')
})

it('changes by a request postpone the query, without a call of the library', async t => {
  const harness = frameworkHarness(t)
  const user = harness.user()
  await user.session()
  for (let times = 0; times < 10; times++) {
    assert.deepEqual(await questions(harness, 50), [])
    harness.store.take()
    await user.request()
    assert.deepEqual(harness.store.take(), [`get ${user.id}`, `touch ${user.id}`])
  }
  assert.deepEqual(await questions(harness, LIFETIME + 1), [560.05])
})

it('a lifetime that is changed at run time is used', async t => {
  for (const seconds of [20, 200]) {
    const harness = frameworkHarness(t)
    const user = harness.user()
    await user.session()
    await user.request(({ session }) => {
      session.cookie.maxAge = seconds * 1000
    })
    assert.deepEqual(await questions(harness, seconds + 20), [seconds + 0.05])
    t.mock.restoreAll()
  }
})

it('a session that outlives its deadline is queried again at increasing intervals, then at those of the poll', async t => {
  const harness = frameworkHarness(t, { options: KEPT })
  const user = harness.user()
  await user.session()
  // Like connect-redis and others: the store's deadline is later than the stored one.
  const later = JSON.parse(harness.store.stored(user.id) as string)
  delete later.cookie.expires
  harness.store.restore(user.id, JSON.stringify(later))
  const asked = await questions(harness, 3600)
  const gaps = asked.slice(1).map((at, index) => Math.round(at - asked[index]!))
  assert.deepEqual(gaps.slice(0, 8), [1, 2, 4, 8, 16, 32, 64, 128])
  for (const gap of gaps.slice(9)) assert.ok(gap >= POLL.least && gap <= POLL.most, `${gap} s`)
  assert.ok(gaps.length > 9)
  assert.deepEqual(harness.log, ['unload disconnected @2'])
})

it('a later deadline in the store is used', async t => {
  const harness = frameworkHarness(t, { options: KEPT })
  const user = harness.user()
  await user.session()
  prolong(harness, user, 200)
  assert.deepEqual(await questions(harness, 250), [60.05, 200.05])
  assert.deepEqual(harness.log, ['unload disconnected @2'])
})

it('an earlier one is not: many stores keep the deadline apart from the data', async t => {
  const expires = new Date(Date.UTC(2026, 0, 1) + 400_000).toISOString()
  class StaleStore extends TroubledStore {
    override get(id: string, done: (error: unknown, session?: unknown) => void): void {
      super.get(id, (error: unknown, session?: object) =>
        done(error, session && { ...session, cookie: { expires } }),
      )
    }
  }
  const store = new StaleStore()
  const harness = frameworkHarness(t, { store, options: KEPT, session: { cookie: { maxAge: 86_400_000 } } })
  await harness.user().session()
  const asked = await questions(harness, 1200)
  assert.ok(asked.length >= 3 && asked.length <= 5, `${asked.length} times`)
})

it('a session without a known deadline is queried about every five minutes', async t => {
  const harness = frameworkHarness(t, { options: KEPT, ...UNTIL_CLOSED })
  await harness.user().session()
  const asked = await questions(harness, 36_000)
  const gaps = asked.map((at, index) => at - (asked[index - 1] ?? 0))
  for (const gap of gaps) assert.ok(gap >= POLL.least - 0.1 && gap <= POLL.most + 0.1, `${gap} s`)
  assert.ok(new Set(gaps.map(Math.round)).size > 10, 'jittered')
})

it('a session that is far from its deadline is also queried', async t => {
  const harness = frameworkHarness(t, { options: KEPT, session: { cookie: { maxAge: 86_400_000 } } })
  await harness.user().session()
  const asked = await questions(harness, 3600)
  assert.ok(asked.length >= 9 && asked.length <= 16, `${asked.length} times`)
})

it('a request postpones the poll', async t => {
  const harness = frameworkHarness(t, { options: KEPT, ...UNTIL_CLOSED })
  const user = harness.user()
  await user.session()
  for (let times = 0; times < 20; times++) {
    assert.deepEqual(await questions(harness, POLL.least - 1), [])
    await user.request()
  }
  assert.equal((await questions(harness, POLL.most + 1)).length, 1)
})

for (const how of ['lost', 'flushed'] as const) {
  it(`a session that is ${how} early is detected by the poll`, async t => {
    const harness = frameworkHarness(t, UNTIL_CLOSED)
    const [user, other] = [harness.user(), harness.user()]
    await user.session()
    const kept = await other.session()
    harness.store.lose(how === 'lost' ? user.id : undefined)
    await harness.clock.advance(POLL.most + 1)
    const lost = how === 'lost' ? 1 : 2
    assert.equal(
      (await questions(harness, 2 * POLL.most)).length > 0,
      how === 'lost',
      'it is asked for no more',
    )
    if (how === 'lost') await other.request()
    await harness.clock.advance(GRACE - POLL.most - POLL.least)
    assert.equal(harness.log.filter(line => line.startsWith('ended expired')).length, lost)
    assert.equal(harness.gradio.session(kept.id) !== undefined, how === 'lost')
  })
}

it('a session that is lost early ends one grace period after that was detected', async t => {
  const harness = frameworkHarness(t, UNTIL_CLOSED)
  const user = harness.user()
  await user.session()
  harness.store.lose()
  const [asked] = (await questions(harness, POLL.most + 1)) as [number]
  await harness.clock.advance(asked + GRACE - harness.clock.now() / 1000 - 0.1)
  assert.deepEqual(harness.log, ['unload disconnected @2'])
  await harness.clock.advance(0.2)
  assert.equal(harness.log.length, 2)
})

it('a session that was never saved is not queried, and not considered lost', async t => {
  const harness = frameworkHarness(t, UNTIL_CLOSED)
  const user = harness.user()
  let release!: () => void
  const isOver = new Promise<void>(resolve => {
    release = resolve
  })
  const asking = user.request(async ({ state }) => {
    const { id } = state
    await isOver
    return id
  })
  assert.deepEqual(await questions(harness, 5 * POLL.most), [])
  release()
  const id = await asking
  assert.deepEqual(harness.store.ids, [user.id], 'it is saved at the end of its request')
  assert.deepEqual(harness.log, [])
  assert.equal((await questions(harness, POLL.most + 1)).length, 1)
  assert.ok(harness.gradio.session(id))
})

it('a session whose save fails is not considered lost', async t => {
  const harness = frameworkHarness(t, UNTIL_CLOSED)
  const user = harness.user()
  harness.store.trouble = method => (method === 'set' ? new Error('full') : undefined)
  await user.request(({ state }) => void state.id).catch(() => {})
  await harness.clock.advance(2 * POLL.most)
  assert.deepEqual(
    harness.log.filter(line => line.includes('expired')),
    [],
  )
})

it('an answer that overlaps with a save is ignored', async t => {
  const held: (() => void)[] = []
  class SlowStore extends TroubledStore {
    isSlow = false
    override get(id: string, done: (...answer: unknown[]) => void): void {
      super.get(id, (...answer) => (this.isSlow ? held.push(() => done(...answer)) : done(...answer)))
    }
  }
  const store = new SlowStore()
  const harness = frameworkHarness(t, { store })
  const user = harness.user()
  await user.connectedSession()
  store.isSlow = true
  await harness.clock.advance(LIFETIME + 1)
  assert.equal(held.length, 1, 'the store has found nothing, and is slow to say so')
  store.isSlow = false
  const cookie = { expires: new Date(harness.clock.wall() + 60_000), originalMaxAge: 60_000 }
  await new Promise(resolve => store.set(user.id, { cookie } as never, resolve))
  held[0]?.()
  await harness.clock.advance(59)
  assert.deepEqual(harness.log, [])
  await harness.clock.advance(2)
  assert.deepEqual(harness.log, ['unload expired @121.05'], 'it is watched on')
})

it('a session that is saved again after it was found missing is watched again', async t => {
  const harness = frameworkHarness(t, { options: { gracePeriod: 1000 } })
  const user = harness.user()
  const session = await user.session()
  const stored = JSON.parse(harness.store.stored(user.id) as string)
  await harness.clock.advance(LIFETIME + 1)
  assert.deepEqual(harness.store.ids, [])
  stored.cookie.expires = new Date(harness.clock.wall() + 100_000)
  await new Promise(resolve => harness.store.set(user.id, stored, resolve as never))
  assert.deepEqual(await questions(harness, 101), [161.05])
  // Only a request with the token cancels the grace period, which counts from the last known expiry.
  assert.deepEqual(harness.log, ['unload disconnected @2'])
  assert.ok(harness.gradio.session(session.id))
})

it('a request with the token cancels the grace period', async t => {
  const harness = frameworkHarness(t)
  const user = harness.user()
  const session = await user.session()
  const stored = JSON.parse(harness.store.stored(user.id) as string)
  await harness.clock.advance(LIFETIME + 1)
  stored.cookie.expires = new Date(harness.clock.wall() + 86_400_000)
  harness.store.restore(user.id, JSON.stringify(stored))
  await user.request(({ state }) => assert.equal(state.id, session.id))
  await harness.clock.advance(GRACE + 58)
  assert.deepEqual(harness.log, ['unload disconnected @2', 'unload disconnected @63'])
  await harness.clock.advance(2)
  assert.equal(harness.log[2], 'ended expired @3721', 'a grace after it has expired again')
})

it('a session that returns is queried again, and expires again', async t => {
  const harness = frameworkHarness(t)
  const user = harness.user()
  await user.session()
  const stored = harness.store.stored(user.id) as string
  await harness.clock.advance(LIFETIME + 1)
  harness.store.restore(user.id, stored)
  prolong(harness, user, 1000)
  await user.request()
  const asked = await questions(harness, 2000)
  assert.ok(asked.length >= 1, 'it is watched')
  await harness.clock.advance(GRACE)
  assert.match(harness.log.at(-1) as string, /^ended expired/)
})

for (const keepAlive of [true, false]) {
  it(`an open page ${keepAlive ? 'keeps its session alive' : 'extends nothing'}, with keepAlive: ${keepAlive}`, async t => {
    const harness = frameworkHarness(t, { options: { keepAlive } })
    const user = harness.user()
    const session = await user.session()
    const page = await user.connect()
    harness.store.take()
    await harness.clock.advance(10 * LIFETIME)
    const calls = harness.store.take()
    if (!keepAlive) {
      assert.deepEqual(calls, [`get ${user.id}`])
      assert.deepEqual(harness.log, ['unload expired @60.05'])
      return
    }
    assert.ok(calls.length >= 2 * 10 && calls.length <= 2 * 30, `${calls.length} calls`)
    for (const [index, call] of calls.entries()) {
      assert.equal(call, `${index % 2 === 0 ? 'get' : 'touch'} ${user.id}`, 'each touch comes after a get')
    }
    assert.deepEqual(harness.log, [])
    page.close()
    await harness.clock.advance(LIFETIME + 1)
    assert.deepEqual(harness.store.take('touch'), [], 'a page that has left keeps nothing')
    assert.deepEqual(harness.store.ids, [])
    assert.ok(harness.gradio.session(session.id))
  })
}

it('keepAlive touches no session that is missing', async t => {
  const harness = frameworkHarness(t, { options: { keepAlive: true } })
  const user = harness.user()
  await user.session()
  await user.connect()
  harness.store.lose()
  harness.store.take()
  await harness.clock.advance(10 * LIFETIME)
  assert.deepEqual(harness.store.take(), [`get ${user.id}`])
  assert.deepEqual(harness.store.ids, [])
  assert.match(harness.log[0] as string, /^unload expired/)
})

it('keepAlive touches nothing for a user without a page', async t => {
  const harness = frameworkHarness(t, { options: { keepAlive: true } })
  const user = harness.user()
  await user.session()
  harness.store.take()
  await harness.clock.advance(LIFETIME + 1)
  assert.deepEqual(harness.store.take('touch'), [])
  assert.deepEqual(harness.store.ids, [])
})

it('keepAlive also keeps sessions without a deadline', async t => {
  const harness = frameworkHarness(t, { options: { keepAlive: true }, ...UNTIL_CLOSED })
  const user = harness.user()
  await user.session()
  await user.connect()
  harness.store.take()
  await harness.clock.advance(2 * POLL.most)
  // Such a store gives them its own lifetime, and restarts it with each touch.
  const calls = harness.store.take()
  assert.ok(calls.includes(`touch ${user.id}`))
  assert.deepEqual(harness.log, [])
})

it('a session that keepAlive touches ends as usual when the touch fails', async t => {
  const harness = frameworkHarness(t, { options: { keepAlive: true } })
  const user = harness.user()
  await user.session()
  await user.connect()
  harness.store.trouble = method => (method === 'touch' ? new Error('read-only') : undefined)
  await harness.clock.advance(LIFETIME + 31)
  assert.equal(harness.errors.splice(0).length, 1)
  assert.match(harness.log[0] as string, /^unload expired/)
})
