// What users of a framework session notice of its expiry. For the queries of stores, see expiry-watcher.test.ts.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachExpress } from '../support/http/express.ts'
import { disconnectionOf, GRACE, LIFETIME, sessionApp } from '../support/http/session-app.ts'
import { deferred } from '../support/sessions/harness.ts'

forEachExpress((_name, express) => {
  it('an open page is notified that its session has expired, and connects again in a new one', async t => {
    const { gradio, log, pass, user } = await sessionApp(t, express)
    const me = user()
    const { id } = await me.set('mine')
    const page = await me.openPage()
    await pass(LIFETIME - 1)
    assert.equal(gradio.session(id!)?.pages, 1)
    await pass(2)
    assert.deepEqual(await disconnectionOf(page), { code: 4000, reason: 'expired' })
    assert.deepEqual(log, ['unload expired @60.05'])
    const back = await me.openPage({ id: page.id })
    const now = await me.get()
    assert.notEqual(now.id, id)
    assert.equal(now.value, undefined)
    assert.equal(gradio.session(now.id!)?.pages, 1)
    assert.equal(gradio.session(id!)?.pages, 0)
    await back.close()
  })

  it('it is unloaded once, and ends exactly a grace period after the expiry', async t => {
    const { gradio, held, log, pass, user } = await sessionApp(t, express)
    const me = user()
    const { id } = await me.set('mine')
    await me.openPage()
    await pass(LIFETIME + 1)
    await pass(GRACE - 1.5)
    assert.deepEqual(log, ['unload expired @60.05'])
    assert.equal(gradio.session(id!)?.get(held), 'mine')
    await pass(1)
    assert.deepEqual(log, ['unload expired @60.05', 'delete expired @3660', 'ended expired @3660'])
  })

  it('it ends at the same time if the expiry is detected late', async t => {
    const { errors, log, pass, store, user } = await sessionApp(t, express)
    await user().set('mine')
    store.trouble = () => new Error('away')
    await pass(1000)
    assert.deepEqual(log, ['unload disconnected @2'])
    store.trouble = () => undefined
    await pass(LIFETIME + GRACE - 1000 - 0.1)
    assert.deepEqual(log, ['unload disconnected @2'])
    await pass(0.1)
    assert.deepEqual(log.slice(1), ['delete expired @3660', 'ended expired @3660'])
    assert.equal(errors.length, 1)
  })

  it('it ends at once if the expiry is detected later than one grace period after it', async t => {
    const { clock, log, pass, store, user } = await sessionApp(t, express, { options: { gracePeriod: 30 } })
    const me = user()
    await me.set('mine')
    const page = await me.openPage()
    store.trouble = method => (method === 'get' ? new Error('away') : undefined)
    await pass(300)
    assert.equal(log.length, 0)
    store.trouble = () => undefined
    await pass(60)
    assert.deepEqual((await disconnectionOf(page)).reason, 'expired')
    await clock.advance(0)
    const at = log[0]?.split('@')[1]
    assert.deepEqual(log, [`unload expired @${at}`, `delete expired @${at}`, `ended expired @${at}`])
  })

  it("a request extends the session, and postpones the store's next query to the new expiry", async t => {
    const { log, pass, store, user } = await sessionApp(t, express)
    const me = user()
    await me.set('mine')
    await me.openPage()
    for (let times = 0; times < 5; times++) {
      await pass(50)
      store.take()
      await me.fetch('/nothing')
      assert.deepEqual(
        store.take(),
        [`get ${me.frameworkSessionId()}`, `touch ${me.frameworkSessionId()}`],
        'calls of the app alone',
      )
    }
    await pass(LIFETIME - 1)
    assert.deepEqual(store.take(), [])
    assert.deepEqual(log, [])
    await pass(2)
    assert.deepEqual([store.take('get').length, log], [1, ['unload expired @310.05']])
  })

  it('an open page does not extend the session', async t => {
    const { pass, store, user } = await sessionApp(t, express)
    const me = user()
    await me.set('mine')
    const page = await me.openPage()
    const before = store.stored(me.frameworkSessionId())
    store.take()
    await pass(LIFETIME / 2)
    await page.beat()
    await pass(LIFETIME / 2 - 1)
    assert.equal(store.stored(me.frameworkSessionId()), before)
    assert.deepEqual(
      store.take().filter(call => !call.startsWith('get')),
      [],
    )
    await pass(2)
    assert.deepEqual((await disconnectionOf(page)).reason, 'expired')
  })

  it('if one of two sessions expires, the other is not affected', async t => {
    const { gradio, log, pass, user } = await sessionApp(t, express)
    const [short, long] = [user(), user()]
    await short.set('short')
    const { id } = await long.set('long')
    await long.post('/lives/600000')
    const pages = [await short.openPage(), await long.openPage()] as const
    await pass(LIFETIME + 1)
    assert.equal((await disconnectionOf(pages[0])).reason, 'expired')
    assert.deepEqual(log, ['unload expired @60.05'])
    assert.equal(gradio.session(id!)?.pages, 1)
    assert.deepEqual(await long.get(), { status: 200, id, value: 'long' })
  })

  it('a request in flight keeps an expired session until its response', async t => {
    const [arrived, answered] = [deferred(), deferred()]
    const { gradio, held, log, clock, pass, user } = await sessionApp(t, express, {
      options: { gracePeriod: 10 },
      routes(app) {
        app.get('/slow', async (req, res) => {
          void req.gradioState.id
          arrived.resolve()
          await answered.promise
          res.json(req.gradioState.get(held))
        })
      },
    })
    const me = user()
    const { id } = await me.set('mine')
    const asked = me.fetch('/slow')
    await arrived.promise
    await clock.advance(LIFETIME + 100)
    assert.deepEqual(log, ['unload expired @60.05'])
    answered.resolve()
    assert.equal(await (await asked).json(), 'mine')
    assert.equal(gradio.session(id!)?.get(held), 'mine')
    await pass(10)
    assert.deepEqual(log, ['unload expired @60.05', 'delete expired @170', 'ended expired @170'])
  })
})
