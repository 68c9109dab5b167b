import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SessionState, SharedState, SharedStateOptions, State } from '../../lib/index.ts'
import { isAbout } from '../support/option-error.ts'
import { shared } from '../support/sessions/shared-state.ts'

describe('sharedState() throws for an invalid definition', () => {
  const wrong: [name: string, value: unknown, shown: string][] = [
    ['timeToLive', 0, '0'],
    ['timeToLive', '10 parsecs', '"10 parsecs"'],
    ['deleteCallback', 'free', '"free"'],
    ['deleteReplaced', 'yes', '"yes"'],
    ['codec', 'json', '"json"'],
    ['codec', JSON, 'an object (Object)'],
    ['codec', { encode: String }, 'an object (Object)'],
    ['codec', null, 'null'],
    ['maxSize', -1, '-1'],
    ['maxSize', 'much', '"much"'],
    ['maxSize', null, 'null'],
  ]
  for (const [name, value, shown] of wrong) {
    it(`${name}: ${shown}`, t => {
      const { gradio } = shared(t)
      const options = { [name]: value } as SharedStateOptions<unknown>
      assert.throws(() => gradio.sharedState('model', options), isAbout(name, shown, '"model"'))
      // A rejected name is not defined.
      gradio.sharedState('model', {})
    })
  }

  it('a misspelt option, invalid options, an invalid name', t => {
    const { gradio } = shared(t)
    const misspelt = { maxsize: 5 } as SharedStateOptions<unknown>
    assert.throws(() => gradio.sharedState('model', misspelt), isAbout('maxSize', '"maxsize"'))
    assert.throws(() => gradio.sharedState('model', null as never), isAbout('the options'))
    assert.throws(() => gradio.sharedState(''), isAbout('the name'))
  })

  it('a name that is already defined, of either kind', t => {
    const { gradio } = shared(t)
    gradio.state('local')
    gradio.sharedState('shared')
    for (const name of ['local', 'shared']) {
      const error = isAbout(JSON.stringify(name), '', '', 'STATE_DUPLICATE')
      assert.throws(() => gradio.state(name), error)
      assert.throws(() => gradio.sharedState(name), error)
    }
  })
})

describe('an invalid argument', () => {
  it('is a plain name that sharedState() has defined', async t => {
    const { gradio, session } = shared(t)
    gradio.sharedState('x')
    const user = await session()
    const error = isAbout('"x"', '', 'sharedState()', 'STATE_DEFINED')
    assert.throws(() => user.get('x'), error)
    assert.throws(() => user.set('x', 2), error)
    await assert.rejects(user.delete('x'), error)
  })

  it('is a shared state of another instance; the promise rejects', async t => {
    const foreign = shared(t).gradio.sharedState('x', { value: 1 })
    const { gradio, session } = shared(t)
    gradio.sharedState('x', { value: 1 })
    const seen: unknown[] = []
    gradio.ended(({ session }) => foreign.get(session).catch(error => seen.push(error.code)))
    const user = await session()
    const error = isAbout('"x"', '', '', 'STATE_FOREIGN')
    await assert.rejects(foreign.get(user), error)
    await assert.rejects(foreign.set(user, 2), error)
    await assert.rejects(
      foreign.update(user, value => value),
      error,
    )
    await assert.rejects(foreign.touch(user), error)
    await assert.rejects(foreign.has(user), error)
    await assert.rejects(foreign.delete(user), error)
    await user.end()
    assert.deepEqual(seen, ['STATE_FOREIGN'])
  })

  it('is a shared state of another instance; the request starts no session for it', async t => {
    const foreign = shared(t).gradio.sharedState('x', { value: 1 })
    const { gradio, user } = shared(t)
    const error = isAbout('"x"', '', '', 'STATE_FOREIGN')
    await user().request(async state => {
      await assert.rejects(foreign.get(state), error)
      await assert.rejects(foreign.set(state, 1), error)
    })
    assert.equal(gradio.stats().sessions, 0)
  })

  it('is a shared state that is passed to a method of the session', async t => {
    const { gradio, session, user } = shared(t)
    const x = gradio.sharedState('x', { value: 1 }) as unknown as State<unknown>
    const seen: unknown[] = []
    const error = isAbout('"x"', 'await shared.get(req.gradioState)', 'its own methods', 'STATE_SHARED')
    const refuses = async (state: SessionState) => {
      assert.throws(() => state.get(x), error)
      assert.throws(() => state.set(x, 2), error)
      assert.throws(() => state.update(x, value => value), error)
      assert.throws(() => state.touch(x), error)
      assert.throws(() => state.has(x), error)
      await assert.rejects(state.delete(x), error)
    }
    await user().request(refuses)
    assert.equal(gradio.stats().sessions, 0)
    const known = await session()
    await refuses(known)
    gradio.ended(({ session }) => {
      assert.throws(() => session.get(x), error)
      seen.push('asserted')
    })
    await known.end()
    assert.deepEqual(seen, ['asserted'])
  })

  it('is not a session', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState('x', { value: 1 })
    const user = await session()
    const calls: Record<string, (of: never) => Promise<unknown>> = {
      get: of => x.get(of),
      set: of => x.set(of, 2),
      update: of => x.update(of, value => value),
      touch: of => x.touch(of),
      has: of => x.has(of),
      delete: of => x.delete(of),
    }
    for (const of of [undefined, null, user.id, {}, { gradioState: user }, () => user]) {
      for (const [method, call] of Object.entries(calls)) {
        await assert.rejects(
          call(of as never),
          isAbout(`first argument of ${method}()`, '', 'req.gradioState'),
        )
      }
    }
  })

  it('is the session of an event, for methods that write', async t => {
    const { gradio, session } = shared(t)
    const x: SharedState<number> = gradio.sharedState('x', { value: 1 })
    const seen: unknown[] = []
    gradio.unload(async ({ session }) => {
      const view = session as unknown as SessionState
      const calls: Record<string, () => Promise<unknown>> = {
        set: () => x.set(view, 2),
        update: () => x.update(view, value => value + 1),
        touch: () => x.touch(view),
        delete: () => x.delete(view),
      }
      for (const [method, call] of Object.entries(calls)) {
        await assert.rejects(call(), isAbout(`first argument of ${method}()`, 'the session of an event'))
      }
      seen.push(await x.get(session), await x.has(session))
    })
    const user = await session()
    await x.get(user)
    await user.end()
    assert.deepEqual(seen, [1, true])
  })

  it('is options for set(), and not a function for update()', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState('x', { value: 1 })
    const user = await session()
    const set = x.set as unknown as (...args: unknown[]) => Promise<void>
    await assert.rejects(set.call(x, user, 2, { timeToLive: 5 }), isAbout('the options of set()'))
    await assert.rejects(x.update(user, 5 as never), isAbout('update()', '5'))
    assert.equal(await x.has(user), false)
  })

  it('is a function of update() that returns a promise', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState<unknown>('x', { value: 1 })
    const user = await session()
    const change = async () => {
      throw new Error('nobody catches this one')
    }
    await assert.rejects(x.update(user, change), TypeError)
    const failed = x.update(user, failing)
    // It doesn't affect other callers.
    const waits = x.update(user, value => Number(value) + 1)
    await assert.rejects(failed, { message: 'told' })
    await waits
    assert.equal(await x.get(user), 2)
  })
  const failing = () => {
    throw new Error('told')
  }

  it('is a function for the initial value that returns a promise', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState<unknown>('x', {
      value: () => Promise.reject(new Error('not caught either')),
    })
    const user = await session()
    await assert.rejects(x.get(user), isAbout('"x"', 'Promise', '', 'VALUE_UNSERIALIZABLE'))
  })
})
