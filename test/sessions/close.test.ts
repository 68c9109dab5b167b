import assert from 'node:assert/strict'
import { it } from 'node:test'
import { TrackedSocket } from '../support/http/tracked-socket.ts'
import { deferred, harness } from '../support/sessions/harness.ts'

it('close() ends all sessions with their hooks and callbacks, reason shutdown', async t => {
  const { gradio, clock, user } = harness(t)
  const log: string[] = []
  gradio.unload(({ session, reason }) => log.push(`unload ${session.get('x')} ${reason}`))
  gradio.ended(({ session, reason }) => log.push(`ended ${session.get('x')} ${reason}`))
  const open = await user('open').begin()
  for (const [name, session] of Object.entries({
    closed: await user('closed').session(),
    open: open.state,
  })) {
    session.set('x', name, { deleteCallback: (value, { reason }) => log.push(`deleted ${value} ${reason}`) })
  }
  const { signal } = open.state
  const report = await gradio.close()
  assert.deepEqual(report, { timedOut: [] })
  assert.equal(signal.aborted, true)
  assert.deepEqual(
    log.sort(),
    ['deleted', 'ended', 'unload'].flatMap(what => [`${what} closed shutdown`, `${what} open shutdown`]),
  )
  assert.equal(gradio.stats().ended.shutdown, 2)
  assert.equal(clock.timers, 0)
})

it('close() rejects new use at once', async t => {
  const { gradio, user } = harness(t)
  const request = await user().begin()
  const session = await user('two').session()
  const connection = await user('three').begin()
  const closing = gradio.close()
  const closed = { code: 'CLOSED', status: 503 }
  assert.throws(() => request.state.set('x', 1), closed)
  assert.throws(() => request.state.id, closed)
  assert.throws(() => gradio.track(connection.req, new TrackedSocket()), closed)
  await assert.rejects(request.state.establish(), closed)
  await assert.rejects(user('new').session(), closed)
  assert.throws(() => session.set('x', 1), { code: /CLOSED|SESSION_ENDED/ })
  // Requests that don't use the state continue.
  await user('new').request()
  assert.deepEqual(gradio.sessions(), [])
  await closing
  await assert.rejects(user('new').session(), closed)
})

it('a request of a session that close() has ended throws SESSION_ENDED or CLOSED', async t => {
  const { gradio, user } = harness(t)
  const { state } = await user().begin()
  state.set('x', 1)
  await gradio.close()
  assert.throws(() => state.get('x'), { code: /CLOSED|SESSION_ENDED/ })
  assert.throws(() => state.set('x', 1), { code: /CLOSED|SESSION_ENDED/ })
})

it('a second close() returns the promise of the first', async t => {
  const { gradio, user } = harness(t)
  let runs = 0
  gradio.ended(() => runs++)
  await user().session()
  const reports = await Promise.all([gradio.close(), gradio.close({ timeout: 1 })])
  assert.equal(reports[0], reports[1])
  assert.equal(await gradio.close(), reports[0])
  assert.equal(runs, 1)
})

it('close() resolves with what exceeded its own time limit', async t => {
  const { gradio, clock, user, errors } = harness(t)
  const session = await user().session()
  session.set('x', 1, { deleteCallback: () => new Promise(() => {}) })
  const closing = gradio.close()
  await clock.advance(5)
  const timedOut = [{ source: 'deleteCallback', session: session.id, name: 'x' }]
  assert.deepEqual(await closing, { timedOut })
  assert.equal(errors.splice(0).length, 1)
  assert.equal(clock.timers, 0)
})

it('close() resolves at the latest after its timeout, and lists the sessions that were not finished', async t => {
  const { gradio, clock, user, errors } = harness(t, { hookTimeout: 60 })
  gradio.unload(() => new Promise(() => {}))
  const session = await user().session()
  let report: unknown
  void gradio.close({ timeout: '3s' }).then(given => {
    report = given
  })
  await clock.advance(2.9)
  assert.equal(report, undefined)
  await clock.advance(0.1)
  assert.deepEqual(report, { timedOut: [{ source: 'session', session: session.id }] })
  await clock.advance(60)
  assert.equal(errors.splice(0).length, 1)
})

it('close() waits for sessions that were already ending', async t => {
  const { gradio, clock, user } = harness(t)
  const { promise, resolve } = deferred()
  const reasons: string[] = []
  const session = await user().session()
  session.set('x', 1, {
    deleteCallback: async (_value, { reason }) => {
      await promise
      reasons.push(reason)
    },
  })
  const ended = session.end()
  let isClosed = false
  const closing = gradio.close().then(() => {
    isClosed = true
  })
  await clock.advance(1)
  assert.equal(isClosed, false)
  resolve()
  await Promise.all([ended, closing])
  assert.deepEqual(reasons, ['ended'])
})

it('close() of an unused instance', async t => {
  const { gradio, clock } = harness(t)
  assert.deepEqual(await gradio.close(), { timedOut: [] })
  assert.equal(clock.timers, 0)
})
