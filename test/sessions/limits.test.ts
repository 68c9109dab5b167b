import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deferred, harness } from '../support/sessions/harness.ts'

describe('maxSessions', () => {
  it('first evicts sessions that never returned, then the longest closed, and runs their callbacks', async t => {
    const { gradio, clock, user } = harness(t, { maxSessions: 4 })
    const evicted: string[] = []
    gradio.ended(({ session, reason }) => evicted.push(`${session.get('name')} ${reason}`))
    const request = (name: string) => user(name).request(state => state.set('name', name))
    await request('returned')
    await request('returned')
    await request('once 1')
    await request('once 2')
    const page = await user('page').connect()
    await user('page').request(state => state.set('name', 'page'))
    page.close()
    for (let number = 1; number <= 4; number++) {
      await request(`new ${number}`)
      await request(`new ${number}`)
      await clock.advance(0)
    }
    assert.deepEqual(evicted, ['once 1 evicted', 'once 2 evicted', 'returned evicted', 'page evicted'])
    assert.equal(gradio.stats().sessions, 4)
    assert.equal(gradio.stats().ended.evicted, 4)
  })

  it('never evicts a session with a request in flight or a page; if all are open, rejects a new one', async t => {
    const { gradio, user } = harness(t, { maxSessions: 2 })
    const request = await user('request').begin()
    request.state.set('x', 1)
    const page = await user('page').connect()
    const third = user('third')
    await assert.rejects(third.session(), { code: 'TOO_MANY_SESSIONS', status: 503 })
    // A request that doesn't use the state needs no session.
    await third.request()
    assert.equal(request.state.get('x'), 1)
    request.end()
    await third.session()
    assert.deepEqual([gradio.stats().sessions, gradio.stats().ended.evicted], [2, 1])
    page.close()
  })

  it('limits the ended sessions too, while their callbacks hang', async t => {
    const { gradio, clock, user, errors } = harness(t, { maxSessions: 3 })
    const { promise, resolve } = deferred()
    gradio.ended(() => promise)
    for (let index = 0; index < 6; index++) await user(`${index}`).session()
    assert.deepEqual([gradio.stats().sessions, gradio.stats().ending], [3, 3])
    await assert.rejects(user('7').session(), { code: 'TOO_MANY_SESSIONS' })
    resolve()
    await clock.advance(0)
    await user('7').session()
    assert.deepEqual(errors, [])
  })

  it('causes one warning when callbacks are so slow that half as many sessions wait for them', async t => {
    const warnings: (Error & { code?: string })[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on('warning', listen)
    t.after(() => process.off('warning', listen))
    const { gradio, clock, user } = harness(t, { maxSessions: 240, hookTimeout: 60 })
    const { promise, resolve } = deferred()
    const image = gradio.state('image', { value: 0, deleteCallback: () => promise })
    gradio.ended(() => {})
    const begin = (name: string) => user(name).request(state => state.set(image, 1))
    for (let index = 0; index < 240 + 120; index++) await begin(`${index}`)
    await clock.advance(0)
    assert.deepEqual([gradio.stats().sessions, gradio.stats().ending, warnings.length], [240, 120, 0])
    for (let index = 0; index < 120; index++) await begin(`more ${index}`)
    await clock.advance(0)
    assert.deepEqual(
      warnings.map(({ code }) => code),
      ['GRADIO_STATE_SLOW_CALLBACKS'],
    )
    assert.match(
      warnings[0]!.message,
      /^120 ended sessions have .* most wait for deleteCallback of "image"\. /,
    )
    assert.equal(gradio.stats().ending, 240)
    await assert.rejects(begin('one more'), { code: 'TOO_MANY_SESSIONS' })
    resolve()
    await clock.advance(0)
    await begin('one more')
  })

  it('of Infinity sets no limit', async t => {
    const { gradio, user } = harness(t, { maxSessions: Number.POSITIVE_INFINITY })
    for (let index = 0; index < 11_000; index++) await user(`${index}`).session()
    assert.equal(gradio.stats().sessions, 11_000)
  })
})

describe('endSession', () => {
  it('ends a session by its id, and returns whether there was one', async t => {
    const { gradio, user } = harness(t)
    const reasons: string[] = []
    const session = await user().session()
    session.set('x', 1, { deleteCallback: (_value, { reason }) => reasons.push(reason) })
    assert.equal(await gradio.endSession(session.id), true)
    assert.equal(await gradio.endSession(session.id), false)
    assert.equal(await gradio.endSession('no such id'), false)
    assert.deepEqual(reasons, ['ended'])
  })

  it('does not wait for requests in flight; their later use throws, and the next request starts a new session', async t => {
    const { gradio, user } = harness(t)
    const { state, end } = await user().begin()
    const { id, signal } = state
    await gradio.endSession(id)
    assert.equal(signal.aborted, true)
    assert.equal(signal, state.signal)
    const error = { code: 'SESSION_ENDED', status: 410, message: /\(ended\)/ }
    assert.throws(() => state.set('x', 1), error)
    assert.throws(() => state.get('x'), error)
    assert.throws(() => state.id, error)
    await assert.rejects(state.establish(), error)
    assert.notEqual((await user().session()).id, id)
    end()
    assert.equal(gradio.stats().sessions, 1)
  })

  it('resolves for each caller', async t => {
    const { gradio, user } = harness(t)
    const { promise, resolve } = deferred()
    let runs = 0
    gradio.ended(() => {
      runs++
      return promise
    })
    const session = await user().session()
    let settled = 0
    const ends = [session.end(), session.end(), gradio.endSession(session.id)]
    for (const end of ends) void end.then(() => settled++)
    await new Promise(setImmediate)
    assert.equal(settled, 1)
    resolve()
    await Promise.all(ends)
    assert.equal(runs, 1)
  })
})

describe('session(), sessions() and stats()', () => {
  it('report the current sessions', async t => {
    const { gradio, clock, user } = harness(t)
    assert.deepEqual(gradio.sessions(), [])
    const one = await user('one').session()
    const two = await user('two').session()
    for (const [index, name] of ['a', 'b'].entries()) two.set(name, index)
    await user('nobody').request()
    assert.deepEqual(
      gradio.sessions().map(({ id }) => id),
      [one.id, two.id],
    )
    assert.equal(gradio.session('x'), undefined)
    const page = await user('two').connect()
    const request = await user('one').begin()
    const noFiles = { files: 0, fileBytes: 0 }
    const ended = {
      disconnected: 0,
      expired: 0,
      destroyed: 0,
      regenerated: 0,
      evicted: 0,
      ended: 0,
      shutdown: 0,
    }
    assert.deepEqual(gradio.stats(), {
      sessions: 2,
      open: 2,
      loaded: 2,
      ending: 0,
      pages: 1,
      values: 2,
      ended,
      ...noFiles,
    })
    assert.deepEqual([one.pages, two.pages], [0, 1])
    request.end()
    await clock.advance(2)
    assert.deepEqual(gradio.stats(), {
      sessions: 2,
      open: 1,
      loaded: 1,
      ending: 0,
      pages: 1,
      values: 2,
      ended,
      ...noFiles,
    })
    page.close()
    await clock.advance('1h')
    const after = { ...ended, disconnected: 2 }
    assert.deepEqual(gradio.stats(), {
      sessions: 0,
      open: 0,
      loaded: 0,
      ending: 0,
      pages: 0,
      values: 0,
      ended: after,
      ...noFiles,
    })
  })

  it('using a session by its id does not keep it open', async t => {
    const { gradio, clock, user } = harness(t)
    const session = await user().session()
    await clock.advance('59m')
    session.set('x', 1)
    await clock.advance('1m')
    assert.equal(gradio.stats().sessions, 0)
    assert.throws(() => session.get('x'), { code: 'SESSION_ENDED' })
  })
})

describe('a request that does not use the state', () => {
  it('leaves no session, whatever it reads', async t => {
    const { gradio, user } = harness(t)
    const state = gradio.state<number>('state')
    await user().request(async session => {
      assert.equal(session.get('x'), undefined)
      assert.equal(session.get(state), undefined)
      assert.equal(session.has('x'), false)
      assert.equal(session.touch('x'), false)
      assert.equal(await session.delete('x'), false)
      assert.equal(session.pages, 0)
      assert.equal(session.signal.aborted, false)
      await session.end()
      assert.equal(gradio.stats().sessions, 0)
    })
  })

  it('has a signal that follows the session that it starts later', async t => {
    const { clock, user } = harness(t)
    const { state, end } = await user().begin()
    const { signal } = state
    state.set('x', 1)
    end()
    await clock.advance(1)
    assert.equal(signal.aborted, false)
    await clock.advance(1)
    assert.equal(signal.aborted, true)
  })
})
