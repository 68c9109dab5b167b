// The promises of Gradio's guide on `delete_callback`. Each test is named after the promise, with the behaviour of
// Gradio's own code.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachSetting } from '../support/cluster/places.ts'
import { counterApps } from '../support/http/counter-app.ts'
import { idle, json, site, until } from '../support/http/express.ts'

const POST = { method: 'POST' }

forEachSetting((express, { place, calm, minute }) => {
  const counter = counterApps(express, place)

  it('a callback that throws or rejects does not stop others (in Gradio it ends the clean-up permanently)', async t => {
    const called: string[] = []
    const { gradio, clock, visitor } = await site(t, express, {
      options: place(),
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
      await clock.advance(60 * minute)
      assert.deepEqual(called.splice(0).sort(), whole)
      assert.equal(gradio.stats().ending, 0)
    }
  })

  it('an async callback is awaited, and blocks neither the server nor other users (Gradio awaits none)', async t => {
    const finish: (() => void)[] = []
    const { gradio, clock, visitor } = await counter(t, {
      deleteCallback: () => new Promise<void>(resolve => finish.push(resolve)),
    })
    for (let users = 0; users < 3; users++) await visitor().fetch('/add', POST)
    await idle(gradio)
    await clock.advance(60 * minute)
    assert.equal(finish.length, 3, 'all three run at once')
    assert.equal(gradio.stats().ending, 3, 'and are waited for')
    assert.deepEqual((await json(visitor().fetch('/read'))).body, { count: 0 })
    for (const settle of finish) settle()
    await until(() => gradio.stats().ending === 0)
  })

  it('an overwritten value can run its callback too (Gradio drops it)', async t => {
    const { deleted, visitor } = await counter(t, { deleteReplaced: true })
    const user = visitor()
    await user.fetch('/add', POST)
    await user.fetch('/add', POST)
    assert.deepEqual(deleted, [
      { value: { count: 0 }, reason: 'replaced' },
      { value: { count: 1 }, reason: 'replaced' },
    ])
  })

  it('a shutdown runs the callbacks of all values (Gradio runs none)', async t => {
    const { gradio, deleted, visitor } = await counter(t)
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

  it('nothing scans the sessions: one timer, which waits until something is due (Gradio polls each second)', async t => {
    // Sessions of express-session are read from its store every few minutes, by the same timer: test/identity/expiry-cost.test.ts.
    const { gradio, clock, visitor } = await counter(t, {}, { session: 'cookie' })
    for (let users = 0; users < 10; users++) await visitor().fetch('/add', POST)
    await idle(gradio)
    await clock.advance('3s')
    await calm(clock)
    assert.equal(clock.timers, 1)
    let woke = 0
    const { setTimer } = clock
    clock.setTimer = (run, ms) => {
      woke++
      return setTimer(run, ms)
    }
    await clock.advance(56 * minute)
    // The timer wheel fires a few times before a distant deadline.
    assert.ok(woke <= 3, `woke ${woke} times in 56 minutes`)
    await clock.advance(4 * minute)
    assert.equal(gradio.stats().sessions, 0)
  })
})
