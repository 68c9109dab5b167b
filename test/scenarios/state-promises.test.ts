// The promises of Gradio's guide on values and sessions. Each test is named after the promise, with what Gradio's own
// code does about it. What concerns files is promised, and tested, elsewhere.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GradioState, GradioStateOptions, StateOptions } from '../../lib/index.ts'
import { type ExpressModule, forEachExpress, idle, json, pass, site, until } from '../support/express.ts'

interface Counter {
  count: number
}

interface Deleted {
  value: Counter
  reason: string
}

const POST = { method: 'POST' }
const minutes = (count: number) => count * 60
const hours = (count: number) => count * 3600

/** An app that counts for each of its users, and what it was told of the values that were deleted. */
async function counter(
  t: TestContext,
  express: ExpressModule,
  state: StateOptions<Counter> = {},
  options: GradioStateOptions = {},
) {
  const deleted: Deleted[] = []
  const made = await site(t, express, {
    options,
    routes(app, gradio) {
      const counting = gradio.state<Counter>('counter', {
        value: () => ({ count: 0 }),
        deleteCallback: (value, { reason }) => {
          deleted.push({ value, reason })
        },
        ...state,
      })
      app.get('/read', (req, res) => res.json(req.gradioState.get(counting)))
      app.post('/add', (req, res) => {
        req.gradioState.update(counting, ({ count }) => ({ count: count + 1 }))
        res.json(req.gradioState.get(counting))
      })
      app.post('/mutate', (req, res) => res.json({ count: ++req.gradioState.get(counting).count }))
      app.get('/nothing', (_req, res) => res.send('nothing'))
    },
  })
  return { ...made, deleted }
}

/** What the hooks of an instance are told, as it comes. */
function hooksOf(gradio: GradioState): string[] {
  const log: string[] = []
  gradio.load(() => log.push('load'))
  gradio.unload(({ reason }) => log.push(`unload: ${reason}`))
  gradio.ended(({ reason }) => log.push(`ended: ${reason}`))
  return log
}

forEachExpress((_name, express) => {
  it('a reconnect within the grace period deletes nothing, ever (Gradio never reset is_closed)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, express)
    const user = visitor()
    await user.fetch('/add', POST)
    const page = await user.openPage()
    await page.close()
    await idle(gradio)
    await clock.advance('59m')
    await user.openPage()
    await pass(clock, hours(3))
    assert.deepEqual(deleted, [])
    assert.deepEqual((await json(user.fetch('/read'))).body, { count: 1 })
  })

  it('a connection that is lost and comes back is no new user, however often (Gradio never reset is_closed)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, express)
    const log = hooksOf(gradio)
    const user = visitor()
    const first = await user.openPage()
    await user.fetch('/add', POST)
    await first.crash()
    for (let times = 0; times < 5; times++) {
      await idle(gradio)
      await clock.advance('50m')
      const page = await user.openPage({ id: first.id })
      await page.crash()
    }
    await idle(gradio)
    assert.deepEqual(deleted, [])
    assert.deepEqual((await json(user.fetch('/read'))).body, { count: 1 })
    await clock.advance('3s')
    const rounds = Array.from({ length: 6 }, () => ['load', 'unload: disconnected']).flat()
    assert.deepEqual(log, rounds)
  })

  it('state waits 60 minutes from the moment the tab closed (Gradio counts from the last write)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, express)
    const user = visitor()
    const page = await user.openPage()
    await user.fetch('/add', POST)
    await pass(clock, minutes(61))
    await page.close()
    await idle(gradio)
    await clock.advance(minutes(60) - 1)
    assert.deepEqual(deleted, [])
    await clock.advance(1)
    assert.deepEqual(deleted, [{ value: { count: 1 }, reason: 'disconnected' }])
  })

  it('closing the tab never lengthens a time to live (Gradio replaces it with 60 minutes)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, express, { timeToLive: 10 })
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
    await clock.advance('2h')
    assert.equal(deleted.length, 1)
  })

  it('who reloads the page connects again: a new page, the same state (in Gradio, a new session)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, express)
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

  it('two tabs are two connections: the first close disturbs nothing (in Gradio it closes the session)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, express)
    const log = hooksOf(gradio)
    const user = visitor()
    await user.fetch('/add', POST)
    const tabs = [await user.openPage(), await user.openPage()]
    await tabs[0]?.close()
    await pass(clock, hours(2))
    assert.deepEqual([log, deleted, gradio.stats().pages], [['load'], [], 1])
    await tabs[1]?.close()
    await clock.advance(2)
    assert.deepEqual(log, ['load', 'unload: disconnected'])
    await clock.advance('1h')
    assert.deepEqual(deleted, [{ value: { count: 1 }, reason: 'disconnected' }])
  })

  it('a value that was only ever read is deleted with its callback (Gradio forgets it)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, express)
    await visitor().fetch('/read')
    await idle(gradio)
    await clock.advance('1h')
    assert.deepEqual(deleted, [{ value: { count: 0 }, reason: 'disconnected' }])
  })

  it('the time to live counts from the creation, also of a value only read or changed in place', async t => {
    const { clock, deleted, visitor } = await counter(t, express, { timeToLive: 60 })
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

  it('a value that is made anew lives its whole time (Gradio deletes it again within a second)', async t => {
    const { clock, deleted, visitor } = await counter(t, express, { timeToLive: 60 })
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

  it('nothing is left of a session that has ended (Gradio keeps the object until 10 000 others came)', async t => {
    const { gradio, clock, visitor } = await counter(t, express)
    for (let times = 0; times < 20; times++) await visitor().fetch('/add', POST)
    await idle(gradio)
    assert.equal(gradio.stats().sessions, 20)
    await clock.advance('1h')
    assert.deepEqual(gradio.sessions(), [])
    const { sessions, open, loaded, ending, pages, ended } = gradio.stats()
    assert.deepEqual({ sessions, open, loaded, ending, pages }, {
      sessions: 0,
      open: 0,
      loaded: 0,
      ending: 0,
      pages: 0,
    })
    assert.equal(ended.disconnected, 20)
    assert.equal(clock.timers, 0)
  })

  it('clients without a heartbeat are closed too: five calls of curl are gone after the grace', async t => {
    const { gradio, clock, deleted, origin } = await counter(t, express)
    const log = hooksOf(gradio)
    for (let times = 0; times < 5; times++) await fetch(`${origin}/add`, POST)
    await idle(gradio)
    await clock.advance(2)
    assert.equal(log.filter(entry => entry === 'unload: disconnected').length, 5)
    await clock.advance('1h')
    assert.equal(deleted.length, 5)
    assert.equal(gradio.stats().sessions, 0)
  })

  it('calls that use nothing, and the goodbye of a page that nobody knows, make no session', async t => {
    const { gradio, visitor } = await counter(t, express)
    const user = visitor()
    for (let times = 0; times < 5; times++) await user.fetch('/nothing')
    const goodbye = await user.fetch('/gradio_api/pagehide/unknown?n=1', POST)
    assert.equal(goodbye.status, 404)
    assert.equal(gradio.stats().sessions, 0)
    assert.equal(user.cookies.size, 0)
  })

  it('who makes room for others is deleted with its callback (Gradio skips it)', async t => {
    const { gradio, deleted, visitor } = await counter(t, express, {}, { maxSessions: 2 })
    for (let times = 0; times < 3; times++) {
      await visitor().fetch('/add', POST)
      await idle(gradio)
    }
    assert.deepEqual(deleted, [{ value: { count: 1 }, reason: 'evicted' }])
    assert.equal(gradio.stats().sessions, 2)
  })

  it('a user who is here never makes room for others (Gradio evicts live sessions too)', async t => {
    const { gradio, deleted, visitor } = await counter(t, express, {}, { maxSessions: 2 })
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

forEachExpress((_name, express) => {
  it('a callback that throws or rejects stops no other (in Gradio it ends the clean-up for good)', async t => {
    const called: string[] = []
    const { gradio, clock, visitor } = await site(t, express, {
      routes(app, gradio) {
        app.post('/hold', (req, res) => {
          const hold = (name: string, deleteCallback: () => unknown) =>
            req.gradioState.set(name, {}, { deleteCallback })
          hold('a', () => {
            called.push('throws')
            throw new Error('broken')
          })
          hold('b', async () => {
            called.push('rejects')
            throw new Error('broken')
          })
          hold('c', () => called.push('works'))
          res.end()
        })
        gradio.on('error', (_error, { source, name }) => called.push(`error: ${source} ${name}`))
      },
    })
    const whole = ['error: deleteCallback a', 'error: deleteCallback b', 'rejects', 'throws', 'works']
    for (let round = 0; round < 2; round++) {
      await visitor().fetch('/hold', POST)
      await idle(gradio)
      await clock.advance('1h')
      assert.deepEqual(called.splice(0).sort(), whole)
      assert.equal(gradio.stats().ending, 0)
    }
  })

  it('an async callback is awaited, and holds up neither the server nor other users (Gradio awaits none)', async t => {
    const finish: (() => void)[] = []
    const { gradio, clock, visitor } = await counter(t, express, {
      deleteCallback: () => new Promise<void>(resolve => finish.push(resolve)),
    })
    for (let users = 0; users < 3; users++) await visitor().fetch('/add', POST)
    await idle(gradio)
    await clock.advance('1h')
    assert.equal(finish.length, 3, 'all three run at once')
    assert.equal(gradio.stats().ending, 3, 'and are waited for')
    assert.deepEqual((await json(visitor().fetch('/read'))).body, { count: 0 })
    for (const settle of finish) settle()
    await until(() => gradio.stats().ending === 0)
  })

  it('an overwritten value can have its callback too (Gradio drops it)', async t => {
    const { deleted, visitor } = await counter(t, express, { deleteReplaced: true })
    const user = visitor()
    await user.fetch('/add', POST)
    await user.fetch('/add', POST)
    assert.deepEqual(deleted, [
      { value: { count: 0 }, reason: 'replaced' },
      { value: { count: 1 }, reason: 'replaced' },
    ])
  })

  it('a shutdown runs the callbacks of all values (Gradio runs none)', async t => {
    const { gradio, deleted, visitor } = await counter(t, express)
    const user = visitor()
    await user.openPage()
    await user.fetch('/add', POST)
    await visitor().fetch('/read')
    assert.deepEqual(await gradio.close(), { timedOut: [] })
    assert.deepEqual(deleted, [
      { value: { count: 1 }, reason: 'shutdown' },
      { value: { count: 0 }, reason: 'shutdown' },
    ])
  })

  it('nothing scans the sessions: one timer, which sleeps until something is due (Gradio looks each second)', async t => {
    const { gradio, clock, visitor } = await counter(t, express)
    for (let users = 0; users < 10; users++) await visitor().fetch('/add', POST)
    await idle(gradio)
    await sleep(5)
    await clock.advance('3s')
    assert.equal(clock.timers, 1)
    let woke = 0
    const { setTimer } = clock
    clock.setTimer = (run, ms) => {
      woke++
      return setTimer(run, ms)
    }
    await clock.advance(minutes(59))
    assert.equal(woke, 0)
    await clock.advance('1m')
    assert.equal(gradio.stats().sessions, 0)
  })
})
