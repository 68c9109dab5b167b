// The cost of the watcher for a store: no more queries than deadlines and the slow poll need, and only queries.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { frameworkHarness } from '../support/sessions/framework-harness.ts'

const SESSIONS = 500
const HOUR = 3600
/** The interval of queries for a session whose user is inactive, with jitter: in seconds. */
const POLL = { least: 225, most: 375 }

it('500 sessions are each queried about every five minutes', async t => {
  const harness = frameworkHarness(t, {
    options: { maxSessions: SESSIONS, gracePeriod: '1d' },
    session: { cookie: { maxAge: 86_400_000 } },
  })
  for (let users = 0; users < SESSIONS; users++) await harness.user().session()
  harness.store.take()
  await harness.clock.advance(HOUR)
  const calls = harness.store.take()
  assert.ok(calls.every(call => call.startsWith('get ')))
  const [fewest, most] = [Math.floor(HOUR / POLL.most), Math.ceil(HOUR / POLL.least)]
  assert.ok(calls.length >= SESSIONS * fewest, `${calls.length} calls`)
  assert.ok(calls.length <= SESSIONS * 12.6, `${calls.length} calls`)
  const bySession = new Map<string, number>()
  for (const call of calls) bySession.set(call, (bySession.get(call) ?? 0) + 1)
  assert.equal(bySession.size, SESSIONS)
  assert.ok([...bySession.values()].every(times => times >= fewest && times <= most))
  assert.equal(harness.gradio.stats().sessions, SESSIONS)
})

it('sessions of active users are not queried', async t => {
  const harness = frameworkHarness(t, { session: { cookie: { maxAge: 600_000 } } })
  const users = Array.from({ length: 50 }, () => harness.user())
  for (const user of users) await user.session()
  for (let minutes = 0; minutes < 60; minutes += 3) {
    await harness.clock.advance('3m')
    harness.store.take()
    for (const user of users) await user.request()
    assert.equal(harness.store.take().length, 2 * users.length, 'a get and a touch of each request')
  }
  await harness.clock.advance('3m')
  assert.deepEqual(harness.store.take(), [])
})

it('sessions that expire are queried once at their deadline', async t => {
  const harness = frameworkHarness(t, { session: { cookie: { maxAge: 120_000 } } })
  for (let users = 0; users < SESSIONS; users++) await harness.user().session()
  harness.store.take()
  await harness.clock.advance(HOUR)
  assert.equal(harness.store.take('get').length, SESSIONS)
  assert.deepEqual(harness.store.ids, [])
})
