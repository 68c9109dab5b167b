import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type DeleteEvent, GradioStateError } from '../../lib/index.ts'
import { deferred, harness } from '../support/sessions/harness.ts'

describe('a delete callback', () => {
  it('is called when the value was already removed from the session', async t => {
    const { user } = harness(t)
    const session = await user().session()
    const seen: unknown[] = []
    const deleteCallback = (value: unknown, event: DeleteEvent) => {
      const { reason, name, session: view, signal } = event
      seen.push([
        value,
        reason,
        name,
        view.id,
        session.has('x'),
        view.get('x'),
        view.get('other'),
        signal.aborted,
      ])
    }
    session.set('other', 'still here')
    session.set('x', 1, { deleteCallback })
    await session.delete('x')
    assert.deepEqual(seen, [[1, 'deleted', 'x', session.id, false, undefined, 'still here', false]])
  })

  it('that sets the value again creates a new value, with its own callback', async t => {
    const { user, clock } = harness(t)
    const session = await user().session()
    const seen: unknown[] = []
    session.set('x', 1, {
      timeToLive: 10,
      deleteCallback: (value, { reason }) => {
        seen.push([value, reason])
        if (value < 3) session.set('x', value + 1, { timeToLive: 10, deleteCallback })
      },
    })
    function deleteCallback(value: number, { reason }: DeleteEvent) {
      seen.push([value, reason])
    }
    await clock.advance(10)
    assert.deepEqual(seen, [[1, 'timeToLive']])
    assert.equal(session.get('x'), 2)
    await session.end()
    assert.deepEqual(seen, [
      [1, 'timeToLive'],
      [2, 'ended'],
    ])
  })

  it('has a stable key, different for each value', async t => {
    const { user } = harness(t)
    const keys: string[] = []
    const deleteCallback = (_value: unknown, { key }: DeleteEvent) => {
      keys.push(key)
      return Promise.resolve()
    }
    for (const name of ['one', 'two']) {
      const session = await user(name).session()
      session.set('x', 1, { deleteCallback, deleteReplaced: true })
      session.set('x', 2)
      session.set('y', 1, { deleteCallback })
      await session.delete('x')
      session.set('x', 1, { deleteCallback })
      await session.end()
    }
    assert.equal(keys.length, 8)
    assert.equal(new Set(keys).size, 8)
  })

  it('is awaited by delete()', async t => {
    const { user } = harness(t)
    const session = await user().session()
    const { promise, resolve } = deferred()
    let done = false
    session.set('x', 1, { deleteCallback: () => promise.then(() => (done = true)) })
    const deleted = session.delete('x')
    assert.equal(session.has('x'), false)
    assert.equal(await session.delete('x'), false)
    resolve()
    assert.equal(await deleted, true)
    assert.equal(done, true)
  })

  it('that hangs is awaited until the time limit, and its signal aborts', async t => {
    const { user, clock, errors } = harness(t, { hookTimeout: '3s' })
    const session = await user().session()
    let signal: AbortSignal | undefined
    session.set('x', 1, {
      deleteCallback: (_value, event) => {
        signal = event.signal
        return new Promise(() => {})
      },
    })
    let settled = false
    const deleted = session.delete('x').then(() => (settled = true))
    await clock.advance(2.999)
    assert.equal(settled, false)
    assert.equal(signal?.aborted, false)
    await clock.advance(0.001)
    await deleted
    assert.equal(signal?.aborted, true)
    const [{ error, context }] = errors.splice(0) as [(typeof errors)[0]]
    assert.ok(error instanceof GradioStateError)
    assert.equal(error.code, 'HOOK_TIMEOUT')
    assert.equal(signal?.reason, error)
    assert.deepEqual(context, { source: 'deleteCallback', session: session.id, name: 'x' })
  })

  const failing: Record<string, () => unknown> = {
    throws: () => {
      throw new Error('broken')
    },
    rejects: async () => {
      throw new Error('broken')
    },
    'gives a thenable that throws': () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is what makes it a thenable
      then() {
        throw new Error('broken')
      },
    }),
    'gives a thenable that rejects': () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is what makes it a thenable
      then(_resolve: unknown, reject: (error: unknown) => void) {
        reject(new Error('broken'))
      },
    }),
  }
  for (const [what, fail] of Object.entries(failing)) {
    it(`that ${what} is reported, and does not affect others`, async t => {
      const { gradio, user, clock, errors } = harness(t)
      const seen: string[] = []
      const deleteCallback = (value: string) => {
        seen.push(value)
        return value.startsWith('bad') ? fail() : undefined
      }
      gradio.ended(() => seen.push('ended'))
      const session = await user().session()
      session.set('bad 1', 'bad by time', { deleteCallback, timeToLive: 5 })
      session.set('good 1', 'good by time', { deleteCallback, timeToLive: 5 })
      session.set('bad 2', 'bad', { deleteCallback })
      session.set('good 2', 'good', { deleteCallback })
      await clock.advance(5)
      await session.end()
      assert.deepEqual(seen, ['bad by time', 'good by time', 'bad', 'good', 'ended'])
      assert.deepEqual(
        errors.splice(0).map(({ error, context }) => [`${error}`, context.name]),
        [
          ['Error: broken', 'bad 1'],
          ['Error: broken', 'bad 2'],
        ],
      )
    })
  }

  it('that is running because of a time to live is awaited at the end of the session', async t => {
    const { gradio, user, clock } = harness(t)
    const log: string[] = []
    const { promise, resolve } = deferred()
    gradio.ended(() => log.push('ended'))
    const session = await user().session()
    session.set('x', 1, { timeToLive: 1, deleteCallback: () => promise.then(() => log.push('deleted')) })
    await clock.advance(1)
    const ended = session.end()
    await clock.advance(1)
    assert.deepEqual(log, [])
    resolve()
    await ended
    assert.deepEqual(log, ['deleted', 'ended'])
  })
})

describe('at the end of a session', () => {
  it('callbacks start in the order in which the values were created, at most 16 at once', async t => {
    const { user } = harness(t)
    const session = await user().session()
    const begun: number[] = []
    const running: (() => void)[] = []
    let most = 0
    for (let index = 0; index < 40; index++) {
      session.set(`value ${index}`, index, {
        deleteCallback: async value => {
          begun.push(value)
          const { promise, resolve } = deferred()
          running.push(resolve)
          most = Math.max(most, running.length)
          await promise
        },
      })
    }
    let over = false
    const ended = session.end().then(() => (over = true))
    while (!over) {
      await new Promise(setImmediate)
      running.shift()?.()
    }
    await ended
    assert.equal(most, 16)
    assert.deepEqual(
      begun,
      Array.from({ length: 40 }, (_, index) => index),
    )
  })

  it('a value that expires at the very moment of the end is deleted once', async t => {
    const { user, clock } = harness(t, { gracePeriod: 10 })
    const seen: unknown[] = []
    const session = await user().session()
    const deleteCallback = (value: unknown, { reason }: DeleteEvent) => {
      seen.push([value, reason])
    }
    session.set('x', 1, { timeToLive: 10, deleteCallback })
    session.set('y', 2, { timeToLive: 10.0005, deleteCallback })
    await clock.advance(20)
    assert.equal(seen.length, 2)
  })

  it('a value that is no longer referenced can be collected', async t => {
    const { user } = harness(t)
    const session = await user().session()
    session.set('x', {}, { deleteCallback: () => {} })
    await session.end()
    assert.throws(() => session.get('x'), { code: 'SESSION_ENDED' })
    assert.throws(() => session.set('x', 1), { code: 'SESSION_ENDED' })
    await assert.rejects(session.delete('x'), { code: 'SESSION_ENDED' })
  })
})

describe('a disposable value', () => {
  for (const [what, make] of Object.entries({
    'Symbol.dispose': (log: string[]) => ({ [Symbol.dispose]: () => void log.push('disposed') }),
    'Symbol.asyncDispose': (log: string[]) => ({
      [Symbol.dispose]: () => void log.push('disposed by the wrong method'),
      [Symbol.asyncDispose]: async () => {
        await null
        log.push('disposed')
      },
    }),
    'Symbol.dispose of a class': (log: string[]) =>
      new (class {
        #log = log;
        [Symbol.dispose]() {
          this.#log.push('disposed')
        }
      })(),
  })) {
    it(`with ${what} is disposed once, for whatever reason it is deleted`, async t => {
      const { user, clock } = harness(t)
      const log: string[] = []
      const session = await user().session()
      const gone = () => log.splice(0).join()
      session.set('x', make(log))
      await session.delete('x')
      assert.equal(gone(), 'disposed')
      session.set('x', make(log), { timeToLive: 1 })
      await clock.advance(1)
      assert.equal(gone(), 'disposed')
      session.set('x', make(log), { deleteReplaced: true })
      session.set('x', 1)
      await clock.advance(0)
      assert.equal(gone(), 'disposed')
      session.set('x', make(log))
      await session.end()
      assert.equal(gone(), 'disposed')
    })
  }

  it('with a callback is not disposed, but passed to the callback', async t => {
    const { user } = harness(t)
    const log: string[] = []
    const session = await user().session()
    session.set(
      'x',
      { [Symbol.dispose]: () => log.push('disposed') },
      { deleteCallback: () => log.push('called') },
    )
    await session.delete('x')
    assert.deepEqual(log, ['called'])
  })

  it('whose disposal fails is reported', async t => {
    const { user, errors } = harness(t)
    const session = await user().session()
    const failure = new Error('stuck')
    session.set('x', { [Symbol.asyncDispose]: () => Promise.reject(failure) })
    await session.delete('x')
    assert.equal(errors.splice(0)[0]?.error, failure)
  })
})
