// A store that is unavailable, fails or hangs provides no information, so nothing changes: no second identity, no deletion.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachExpress } from '../support/http/express.ts'
import { disconnectionOf, GRACE, LIFETIME, sessionApp } from '../support/http/session-app.ts'
import { type FrameworkHarness, frameworkHarness } from '../support/sessions/framework-harness.ts'
import { TroubledStore } from '../support/stores/troubled-store.ts'
import { warningsIn } from '../support/warnings.ts'

const UNAVAILABLE = { status: 503, code: 'FRAMEWORK_SESSION_UNAVAILABLE' }

forEachExpress((_name, express) => {
  for (const option of ['store', 'session'] as const) {
    it(`with the option ${option}, a store that is disconnected at the first request causes no second identity`, async t => {
      const store = new TroubledStore()
      const options = option === 'store' ? { store } : { session: 'framework' as const }
      const { gradio, user } = await sessionApp(t, express, { store, options })
      store.emit('disconnect')
      const me = user()
      assert.deepEqual(await me.get(), UNAVAILABLE)
      assert.equal((await me.fetch('/nothing')).status, 200)
      await assert.rejects(me.openPage(), /503/)
      assert.deepEqual([me.cookies.size, gradio.stats().sessions, store.take()], [0, 0, []])
      store.emit('connect')
      const { id } = await me.set('mine')
      assert.deepEqual([...me.cookies.keys()], ['gradio_state_page', 'connect.sid'])
      assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
    })
  }

  it("without either, users get the library's own cookie while the store is disconnected at the first request, and one warning is emitted", async t => {
    const warnings = warningsIn(t)
    const { gradio, log, pass, store, user } = await sessionApp(t, express)
    store.emit('disconnect')
    const [me, other] = [user(), user()]
    const { id } = await me.set('early')
    assert.deepEqual(await me.get(), { status: 200, id, value: 'early' })
    await other.set('early too')
    assert.deepEqual([...me.cookies.keys()], ['gradio_state'])
    assert.deepEqual(warnings, [])
    store.emit('connect')
    for (const one of [me, other]) {
      const { status, id: now, value } = await one.get()
      assert.deepEqual([status, now === id, value], [200, false, undefined])
    }
    assert.deepEqual(warnings, ['GRADIO_STATE_LATE_SESSION'])
    store.emit('disconnect')
    assert.deepEqual(await me.get(), UNAVAILABLE)
    await pass(GRACE)
    assert.equal(gradio.session(id!), undefined)
    assert.equal(log.filter(line => line.startsWith('delete disconnected')).length, 2)
  })

  it('a store that was disconnected while the state was not used causes no warning', async t => {
    const warnings = warningsIn(t)
    const { store, user } = await sessionApp(t, express)
    store.emit('disconnect')
    assert.equal((await user().fetch('/nothing')).status, 200)
    store.emit('connect')
    await user().set('mine')
    await user().fetch('/nothing')
    assert.deepEqual(warnings, [])
  })

  it('a store that fails at the first request makes the request fail, and causes no second identity', async t => {
    const warnings = warningsIn(t)
    const before = await sessionApp(t, express)
    const known = before.user()
    await known.set('before the restart')
    const { store } = before
    const { gradio, user } = await sessionApp(t, express, { store })
    const me = user()
    for (const [name, value] of known.cookies) me.cookies.set(name, value)
    store.trouble = () => new Error('away')
    assert.deepEqual(await me.get(), { status: 500, code: 'away' })
    assert.deepEqual([[...me.cookies.keys()], gradio.stats().sessions], [['connect.sid'], 0])
    store.trouble = () => undefined
    assert.equal((await me.set('mine')).status, 200)
    assert.deepEqual([[...me.cookies.keys()], warnings], [['connect.sid'], []])
  })

  it('nor does one that becomes unavailable later: its users are rejected, and continue when it is available again', async t => {
    const { gradio, log, pass, store, user } = await sessionApp(t, express)
    const [me, newcomer] = [user(), user()]
    const { id } = await me.set('mine')
    const page = await me.openPage()
    store.emit('disconnect')
    store.take()
    assert.deepEqual(await me.get(), UNAVAILABLE)
    assert.deepEqual(await newcomer.set('new'), UNAVAILABLE)
    assert.equal((await newcomer.fetch('/nothing')).status, 200)
    await pass(LIFETIME / 2)
    assert.deepEqual([me.cookies.size, newcomer.cookies.size, gradio.stats().sessions], [1, 0, 1])
    assert.deepEqual([gradio.session(id!)?.pages, log, store.take()], [1, [], []])
    store.emit('connect')
    assert.deepEqual(await me.get(), { status: 200, id, value: 'mine' })
    assert.equal(await page.beat(), 200)
    assert.equal((await newcomer.set('new')).status, 200)
    assert.equal(gradio.stats().sessions, 2)
  })

  it('sessions that expire while the store is unavailable are queried when it is available again, and not before', async t => {
    const { log, pass, store, user } = await sessionApp(t, express)
    const me = user()
    await me.set('mine')
    const page = await me.openPage()
    store.emit('disconnect')
    store.take()
    await pass(20 * LIFETIME)
    assert.deepEqual([log, store.take()], [[], []])
    store.emit('connect')
    await pass(1)
    assert.equal((await disconnectionOf(page)).reason, 'expired')
    await pass(GRACE - 19 * LIFETIME)
    assert.deepEqual(
      log.map(line => line.split(' @')[0]),
      ['unload expired', 'delete expired', 'ended expired'],
    )
    assert.equal(log.at(-1), `ended expired @${LIFETIME + GRACE}`)
  })
})

/** Calls of a store that fail, the same ones in each run. */
function oneInThree(): () => boolean {
  let state = 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state % 3 === 0
  }
}

it('a store whose calls fail at random loses no session, and is rarely reported', async t => {
  const harness = frameworkHarness(t, { session: { cookie: { maxAge: 3_600_000 } } })
  const { clock, errors, log, store } = harness
  const users = Array.from({ length: 20 }, () => harness.user())
  const ids = new Set<string>()
  for (const user of users) ids.add((await user.connectedSession()).id)
  const isFailing = oneInThree()
  let failures = 0
  store.trouble = () => {
    if (!isFailing()) return undefined
    failures++
    return new Error('trouble')
  }
  for (let minutes = 0; minutes < 24 * 60; minutes += 10) {
    await clock.advance('10m')
    for (const user of users) {
      // Until the session is extended, so that it never expires.
      for (let failed = -1; failed !== failures; ) {
        failed = failures
        store.take()
        const isRefused = await user.request().then(
          () => false,
          () => true,
        )
        const calls = store.take()
        assert.deepEqual(calls, isRefused ? [`get ${user.id}`] : [`get ${user.id}`, `touch ${user.id}`])
      }
    }
  }
  assert.deepEqual(log, [])
  assert.deepEqual(new Set(harness.gradio.sessions().map(({ id }) => id)), ids)
  const reports = errors.splice(0).length
  assert.ok(reports >= 1 && reports < failures / 20, `${reports} reports of ${failures} failures`)
})

for (const trouble of ['fails', 'throws', 'hangs'] as const) {
  it(`a store that ${trouble} for hours is reported once, and queried less and less`, async t => {
    const { clock, errors, log, store, user } = frameworkHarness(t, { options: { gracePeriod: '1d' } })
    const users = Array.from({ length: 30 }, () => user())
    for (const one of users) await one.connectedSession()
    store.take()
    store.trouble = () => (trouble === 'fails' ? new Error('away') : trouble)
    await clock.advance('6h')
    assert.equal(log.length, 0)
    assert.equal(errors.length, 1)
    if (trouble === 'hangs') assert.equal((errors[0] as { code: string }).code, 'STORE_TIMEOUT')
    // One pause of at most 37.5 s after each failure, and the queries that were in flight by then.
    const asked = store.take('get').length
    assert.ok(asked > 100 && asked <= 16 * ((6 * 3600) / 22), `${asked} times`)
    store.trouble = () => undefined
    await clock.advance(60)
    assert.equal(log.length, users.length)
    assert.ok(log.every(line => line.startsWith('unload expired')))
    errors.length = 0
  })
}

it('a second outage is reported again, after the store has worked for a while', async t => {
  const harness = frameworkHarness(t, { options: { gracePeriod: '1d' }, session: { cookie: {} } })
  for (let users = 0; users < 20; users++) await harness.user().session()
  for (const outage of [1, 2]) {
    harness.store.trouble = () => new Error(`outage ${outage}`)
    await harness.clock.advance('30m')
    harness.store.trouble = () => undefined
    await harness.clock.advance('30m')
  }
  const messages = harness.errors.splice(0).map(error => (error as Error).message)
  assert.deepEqual(messages, ['outage 1', 'outage 2'])
})

it('the store has ten seconds to answer, and a later answer is ignored', async t => {
  const { clock, errors, gradio, log, store, user } = frameworkHarness(t)
  const me = user()
  const { id } = await me.connectedSession()
  store.trouble = method => (method === 'get' ? 'hangs' : undefined)
  await clock.advance(LIFETIME + 10)
  assert.equal(errors.length, 0)
  await clock.advance(0.1)
  assert.equal(errors.splice(0).length, 1)
  assert.deepEqual([log, gradio.session(id)?.id], [[], id])
})

it('a query that hangs does not delay requests', async t => {
  const { clock, store, user } = frameworkHarness(t)
  const me = user()
  const { id } = await me.connectedSession()
  store.trouble = method => (method === 'get' ? 'hangs' : undefined)
  await clock.advance(LIFETIME - 1)
  await clock.advance(2)
  store.trouble = () => undefined
  store.take()
  // The framework session has expired by now, so express-session creates another; no time passes meanwhile.
  const now = await me.request(({ state }) => state.id)
  assert.notEqual(now, id)
  assert.deepEqual(
    store.take().map(call => call.split(' ')[0]),
    ['get', 'set'],
  )
})

it('no more than sixteen queries are in flight at once', async t => {
  const harness: FrameworkHarness = frameworkHarness(t, { options: { gracePeriod: '1d' } })
  for (let users = 0; users < 100; users++) await harness.user().session()
  harness.store.trouble = () => 'hangs'
  harness.store.take()
  await harness.clock.advance(LIFETIME + 5)
  assert.equal(harness.store.take('get').length, 16)
  harness.store.trouble = () => undefined
  await harness.clock.advance(120)
  assert.equal(harness.store.ids.length, 0, 'all were asked for in the end')
  assert.equal(harness.errors.splice(0).length, 1)
})
