// The promises of Gradio's guide on values and sessions. Each test is named after the promise, with the behaviour of
// Gradio's own code. Promises about files are tested elsewhere.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { GradioState } from '../../lib/index.ts'
import { forEachSetting } from '../support/cluster/places.ts'
import { counterApps } from '../support/http/counter-app.ts'
import { idle, json, pass, until } from '../support/http/express.ts'

const POST = { method: 'POST' }

/** The calls of the hooks of an instance, in their order. */
function hooksOf(gradio: GradioState): string[] {
  const log: string[] = []
  gradio.load(() => log.push('load'))
  gradio.unload(({ reason }) => log.push(`unload: ${reason}`))
  gradio.ended(({ reason }) => log.push(`ended: ${reason}`))
  return log
}

forEachSetting((express, { place, calm, minute }) => {
  const counter = counterApps(express, place)

  it('a reconnect within the grace period deletes nothing, ever (Gradio never reset is_closed)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t)
    const user = visitor()
    await user.fetch('/add', POST)
    const page = await user.openPage()
    await page.close()
    await idle(gradio)
    await clock.advance(59 * minute)
    await user.openPage()
    await pass(clock, 70 * minute)
    assert.deepEqual(deleted, [])
    assert.deepEqual((await json(user.fetch('/read'))).body, { count: 1 })
  })

  it('a connection that is lost and reconnects is not a new user, however often (Gradio never reset is_closed)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t)
    const log = hooksOf(gradio)
    const user = visitor()
    const first = await user.openPage()
    await user.fetch('/add', POST)
    await first.crash()
    for (let times = 0; times < 5; times++) {
      await idle(gradio)
      await clock.advance(50 * minute)
      const page = await user.openPage({ id: first.id })
      await page.crash()
    }
    await idle(gradio)
    assert.deepEqual(deleted, [])
    assert.deepEqual((await json(user.fetch('/read'))).body, { count: 1 })
    await clock.advance('4s')
    const rounds = Array.from({ length: 6 }, () => ['load', 'unload: disconnected']).flat()
    assert.deepEqual(log, rounds)
  })

  it('state waits 60 minutes from the moment the tab closed (Gradio counts from the last write)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t)
    const user = visitor()
    const page = await user.openPage()
    await user.fetch('/add', POST)
    await pass(clock, 61 * minute)
    await page.close()
    await idle(gradio)
    await clock.advance(60 * minute - 1)
    assert.deepEqual(deleted, [])
    await clock.advance(1)
    assert.deepEqual(deleted, [{ value: { count: 1 }, reason: 'disconnected' }])
  })

  it('closing the tab never extends a time to live (Gradio replaces it with 60 minutes)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, { timeToLive: 10 })
    const user = visitor()
    const page = await user.openPage()
    await user.fetch('/add', POST)
    await clock.advance(6)
    await page.close()
    await idle(gradio)
    await clock.advance(3.9)
    assert.deepEqual(deleted, [])
    await clock.advance(0.1)
    assert.deepEqual(deleted, [{ value: { count: 1 }, reason: 'timeToLive' }])
    await clock.advance(120 * minute)
    assert.equal(deleted.length, 1)
  })

  it('a reload connects again: a new page, the same state (in Gradio, a new session)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t)
    const log = hooksOf(gradio)
    const user = visitor()
    for (let count = 1; count <= 3; count++) {
      const page = await user.openPage()
      assert.deepEqual((await json(user.fetch('/add', POST))).body, { count })
      await page.close()
      await clock.advance(1)
    }
    assert.equal(gradio.stats().sessions, 1)
    assert.deepEqual(deleted, [])
    assert.deepEqual(log, ['load'])
  })

  it('two tabs are two connections: closing the first has no effect (in Gradio it closes the session)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t)
    const log = hooksOf(gradio)
    const user = visitor()
    await user.fetch('/add', POST)
    const tabs = [await user.openPage(), await user.openPage()]
    await tabs[0]?.close()
    await pass(clock, 61 * minute)
    assert.deepEqual([log, deleted, gradio.stats().pages], [['load'], [], 1])
    await tabs[1]?.close()
    await clock.advance(2)
    assert.deepEqual(log, ['load', 'unload: disconnected'])
    await clock.advance(60 * minute)
    assert.deepEqual(deleted, [{ value: { count: 1 }, reason: 'disconnected' }])
  })

  it('a value that was only ever read is deleted with its callback (Gradio forgets it)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t)
    await visitor().fetch('/read')
    await idle(gradio)
    await clock.advance(60 * minute)
    assert.deepEqual(deleted, [{ value: { count: 0 }, reason: 'disconnected' }])
  })

  it('the time to live counts from the creation, even of a value that is only read or changed in place', async t => {
    const { clock, deleted, visitor } = await counter(t, { timeToLive: 60 })
    await visitor().fetch('/read')
    const user = visitor()
    await user.fetch('/read')
    await clock.advance(59)
    await user.fetch('/mutate', POST)
    assert.deepEqual(deleted, [])
    await clock.advance(1)
    assert.deepEqual(deleted, [
      { value: { count: 0 }, reason: 'timeToLive' },
      { value: { count: 1 }, reason: 'timeToLive' },
    ])
  })

  it('a value that is recreated lives its whole time (Gradio deletes it again within a second)', async t => {
    const { clock, deleted, visitor } = await counter(t, { timeToLive: 60 })
    const user = visitor()
    await user.openPage()
    await user.fetch('/add', POST)
    await pass(clock, 60)
    assert.deepEqual((await json(user.fetch('/read'))).body, { count: 0 })
    await pass(clock, 59)
    assert.equal(deleted.length, 1)
    await pass(clock, 1)
    assert.deepEqual(deleted[1], { value: { count: 0 }, reason: 'timeToLive' })
  })

  it('nothing is left of a session that has ended (Gradio keeps the object until 10 000 others were created)', async t => {
    const { gradio, clock, visitor } = await counter(t)
    for (let times = 0; times < 20; times++) await visitor().fetch('/add', POST)
    await idle(gradio)
    assert.equal(gradio.stats().sessions, 20)
    await clock.advance(60 * minute)
    assert.deepEqual(gradio.sessions(), [])
    const { sessions, open, loaded, ending, pages, ended } = gradio.stats()
    assert.deepEqual(
      { sessions, open, loaded, ending, pages },
      {
        sessions: 0,
        open: 0,
        loaded: 0,
        ending: 0,
        pages: 0,
      },
    )
    assert.equal(ended.disconnected, 20)
    await calm(clock)
    assert.equal(clock.timers, 0)
  })

  it('clients without a heartbeat are closed too: five calls of curl are gone after the grace period', async t => {
    const { gradio, clock, deleted, origin } = await counter(t)
    const log = hooksOf(gradio)
    for (let times = 0; times < 5; times++) await fetch(`${origin}/add`, POST)
    await idle(gradio)
    await clock.advance(2)
    assert.equal(log.filter(entry => entry === 'unload: disconnected').length, 5)
    await clock.advance(60 * minute)
    assert.equal(deleted.length, 5)
    assert.equal(gradio.stats().sessions, 0)
  })

  it("requests that don't use the state, and the goodbye of an unknown page, start no session", async t => {
    const { gradio, visitor } = await counter(t)
    const user = visitor()
    for (let times = 0; times < 5; times++) await user.fetch('/nothing')
    const goodbye = await user.fetch('/gradio_api/pagehide/unknown?n=1', POST)
    assert.equal(goodbye.status, 404)
    assert.equal(gradio.stats().sessions, 0)
    assert.equal(user.cookies.size, 0)
  })

  it('an evicted session is deleted with its callbacks (Gradio skips them)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, {}, { maxSessions: 2 })
    for (let times = 0; times < 3; times++) {
      await visitor().fetch('/add', POST)
      await idle(gradio)
      // Waits until Redis knows that the request is over: a session with a request isn't evicted.
      await clock.advance(0)
    }
    await until(() => deleted.length > 0 && gradio.stats().sessions === 2, 'that a session is evicted')
    assert.deepEqual(deleted, [{ value: { count: 1 }, reason: 'evicted' }])
    assert.equal(gradio.stats().sessions, 2)
  })

  it('a user who is present is never evicted (Gradio evicts live sessions too)', async t => {
    const { gradio, deleted, visitor } = await counter(t, {}, { maxSessions: 2 })
    const users = [visitor(), visitor()]
    for (const user of users) await user.openPage()
    for (const user of users) await user.fetch('/add', POST)
    const refused = await visitor().fetch('/add', POST)
    assert.equal(refused.status, 503)
    assert.deepEqual(deleted, [])
    for (const user of users) assert.deepEqual((await json(user.fetch('/read'))).body, { count: 1 })
    assert.equal(gradio.stats().sessions, 2)
  })
})
