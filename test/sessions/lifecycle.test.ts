import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { GradioStateOptions } from '../../lib/index.ts'
import { harness, RECONNECT } from '../support/sessions/harness.ts'

const NAVIGATION = { 'upgrade-insecure-requests': '1' }
const HTML = 'text/html; charset=utf-8'

/** An instance whose hooks record when they ran. */
function timed(t: TestContext, options?: GradioStateOptions) {
  const made = harness(t, options)
  const log: string[] = []
  const at = () => made.clock.now() / 1000
  made.gradio.load(() => log.push(`load at ${at()}`))
  made.gradio.unload(({ reason }) => log.push(`unload at ${at()}: ${reason}`))
  made.gradio.ended(({ reason }) => log.push(`ended at ${at()}: ${reason}`))
  return { ...made, log }
}

describe('unload', () => {
  for (const unloadDelay of [0, 2, 30]) {
    it(`runs ${unloadDelay} s after the last connection has closed (and 1.5 s to reconnect)`, async t => {
      const { clock, user, log } = timed(t, { unloadDelay })
      const one = await user().connect()
      const two = await user().connect()
      await clock.advance(100)
      one.close()
      await clock.advance(100)
      assert.deepEqual(log.splice(0), ['load at 0'])
      two.close()
      await clock.advance(100)
      assert.deepEqual(log, [`unload at ${200 + RECONNECT + unloadDelay}: disconnected`])
    })

    it(`runs ${unloadDelay} s after the last response, if there never was a page`, async t => {
      const { clock, user, log } = timed(t, { unloadDelay })
      const { state, end } = await user().begin()
      state.set('x', 1)
      await clock.advance(100)
      end()
      await clock.advance(100)
      assert.deepEqual(log, ['load at 0', `unload at ${100 + unloadDelay}: disconnected`])
    })
  }

  it('counts from the arrival of the last request, if that is later than the last page left', async t => {
    const { clock, user, log } = timed(t)
    const page = await user().connect()
    await clock.advance(10)
    page.close()
    await clock.advance(3)
    const request = await user().begin()
    await clock.advance(10)
    // A long request doesn't mean that the user is present, if there was a page.
    assert.deepEqual(log, ['load at 0', 'unload at 15: disconnected'])
    request.end()
  })

  it('is postponed by each return in time', async t => {
    const { clock, user, log } = timed(t)
    for (let times = 0; times < 10; times++) {
      const page = await user().connect()
      await clock.advance(1)
      page.close()
      await clock.advance(3)
    }
    assert.deepEqual(log, ['load at 0'])
  })

  it('runs once, even if the user is away for long', async t => {
    const { clock, user, log } = timed(t)
    const page = await user().connect()
    page.close()
    await clock.advance('59m')
    assert.deepEqual(log, ['load at 0', 'unload at 3.5: disconnected'])
  })

  it('aborts the signal of the requests and of the session', async t => {
    const { clock, user, gradio } = timed(t)
    const page = await user().connect()
    const { state, end } = await user().begin()
    const session = gradio.session(state.id)
    page.close()
    await clock.advance(3.4)
    assert.equal(state.signal.aborted, false)
    await clock.advance(0.1)
    assert.equal(state.signal.aborted, true)
    assert.equal(session?.signal.aborted, true)
    end()
    const next = await user().begin()
    assert.equal(next.state.signal.aborted, false)
    assert.equal(session?.signal.aborted, false)
    next.end()
  })
})

describe('a navigation that was answered with a page', () => {
  it('gives the page 30 s to connect', async t => {
    const { clock, user, log } = timed(t)
    const old = await user().connect()
    const navigation = await user().begin(NAVIGATION)
    old.close()
    await clock.advance(60)
    navigation.end(HTML)
    await clock.advance(29)
    assert.deepEqual(log, ['load at 0'])
    const page = await user().connect()
    await clock.advance(60)
    page.close()
    await clock.advance(60)
    assert.deepEqual(log, ['load at 0', 'unload at 152.5: disconnected'])
  })

  it('expires after 30 s if no page connects', async t => {
    const { clock, user, log } = timed(t)
    await (await user().connect()).close()
    const navigation = await user().begin(NAVIGATION)
    await clock.advance(10)
    navigation.end(HTML)
    await clock.advance(60)
    assert.deepEqual(log, ['load at 0', 'unload at 40: disconnected'])
  })

  it('has no effect if the response was not a page', async t => {
    const { clock, user, log } = timed(t)
    await (await user().connect()).close()
    const navigation = await user().begin(NAVIGATION)
    await clock.advance(10)
    navigation.end('application/zip')
    await clock.advance(60)
    assert.deepEqual(log, ['load at 0', 'unload at 10: disconnected'])
  })

  it('whose page has already connected, as while it streams, expects no second one', async t => {
    const { clock, user, log } = timed(t)
    const { state, end } = await user().begin(NAVIGATION)
    state.set('x', 1)
    const page = await user().connect()
    await clock.advance(1)
    end(HTML)
    await clock.advance(1)
    page.close()
    await clock.advance(60)
    assert.deepEqual(log, ['load at 0', 'unload at 5.5: disconnected'])
  })
})

describe('the grace period', () => {
  it('counts from the last disconnect, not from the last write', async t => {
    const { clock, user, log } = timed(t)
    const page = await user().connect()
    ;(await user().session()).set('x', 1)
    await clock.advance('2h')
    page.close()
    await clock.advance('3599s')
    assert.equal(log.length, 2)
    await clock.advance('1s')
    assert.equal(log.at(-1), 'ended at 10800: disconnected')
  })

  it('counts from the end of the last request, if that is later', async t => {
    const { clock, user, log } = timed(t)
    const page = await user().connect()
    const { end } = await user().begin()
    page.close()
    await clock.advance('3h')
    assert.equal(log.length, 2)
    end()
    await clock.advance('2h')
    assert.equal(log.at(-1), 'ended at 14400: disconnected')
  })

  it('restarts with each return', async t => {
    const { clock, user, log, gradio } = timed(t, { gracePeriod: 10 })
    const { id } = await user().session()
    for (let times = 0; times < 5; times++) {
      await clock.advance(9.999)
      await user().request()
    }
    assert.equal(gradio.session(id)?.id, id)
    await clock.advance(10)
    assert.equal(log.at(-1), 'ended at 59.995: disconnected')
  })

  it('of 0 ends the session when it is closed, after the unload', async t => {
    const { clock, user, log } = timed(t, { gracePeriod: 0 })
    await user().session()
    await clock.advance(0)
    assert.deepEqual(log, ['load at 0', 'unload at 0: disconnected', 'ended at 0: disconnected'])
  })

  it('may be longer than any timer, or infinite', async t => {
    const long = timed(t, { gracePeriod: '50d' })
    await long.user().session()
    await long.clock.advance('49.9d')
    assert.equal(long.gradio.stats().sessions, 1)
    await long.clock.advance('0.1d')
    assert.equal(long.gradio.stats().sessions, 0)
    const forever = timed(t, { gracePeriod: Number.POSITIVE_INFINITY })
    await forever.user().session()
    await forever.clock.advance('20y')
    assert.equal(forever.gradio.stats().sessions, 1)
  })

  it('is followed by a new session of the same user', async t => {
    const { clock, user, gradio } = timed(t)
    const first = await user().session()
    first.set('x', 1)
    await clock.advance('1h')
    const second = await user().session()
    assert.notEqual(second.id, first.id)
    assert.equal(second.get('x'), undefined)
    assert.equal(gradio.session(first.id), undefined)
  })
})

describe('info', () => {
  it('is called when the session starts, and its result is passed to hooks and callbacks', async t => {
    const seen: unknown[] = []
    let calls = 0
    const { gradio, user, clock } = harness(t, {
      info: req => ({ agent: req.headers['x-agent'], call: ++calls }),
    })
    gradio.load(({ session }) => seen.push(session.info))
    gradio.ended(({ session }) => seen.push(session.info))
    const { state, end } = await user().begin({ 'x-agent': 'curl' })
    state.set('x', 1, { deleteCallback: (_value, { session }) => seen.push(session.info) })
    end()
    await user().request()
    await clock.advance('2h')
    assert.deepEqual(seen, Array(3).fill({ agent: 'curl', call: 1 }))
  })

  it('that throws is reported, and the session starts without it', async t => {
    const { user, errors } = harness(t, {
      info: () => {
        throw new Error('no info')
      },
    })
    const { id } = await user().session()
    const [{ error, context }] = errors.splice(0) as [(typeof errors)[0]]
    assert.equal(`${error}`, 'Error: no info')
    assert.deepEqual(context, { source: 'info', session: id })
  })

  it('createdAt is the wall clock time', async t => {
    const { gradio, user, clock } = harness(t)
    const dates: Date[] = []
    gradio.ended(({ session }) => dates.push(session.createdAt))
    await clock.advance('1d')
    await user().session()
    await clock.advance('1d')
    assert.deepEqual(dates, [new Date('2026-01-02T00:00:00Z')])
  })
})
