import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { DeleteReason, GradioStateOptions } from '../../lib/index.ts'
import { harness } from '../support/sessions/harness.ts'

/** An instance with a user, and a log of the delete callbacks. */
async function kept(t: TestContext, options?: GradioStateOptions) {
  const made = harness(t, options)
  const deleted: [value: unknown, reason: DeleteReason][] = []
  const deleteCallback = (value: unknown, { reason }: { reason: DeleteReason }) => {
    deleted.push([value, reason])
  }
  const session = await made.user().session()
  return { ...made, session, deleted, deleteCallback }
}

describe('initial values', () => {
  it('are cloned for each session, unaffected by later changes to the given object', async t => {
    const { gradio, user } = harness(t)
    const given = { list: [1], map: new Map([['a', new Set([1])]]), date: new Date(0) }
    const state = gradio.state('state', { value: given })
    given.list.push(2)
    const one = await user('one').session()
    const two = await user('two').session()
    one.get(state).list.push(3)
    one.get(state).map.get('a')?.add(2)
    assert.deepEqual(one.get(state).list, [1, 3])
    assert.deepEqual(two.get(state), { list: [1], map: new Map([['a', new Set([1])]]), date: new Date(0) })
    assert.equal(one.get(state), one.get(state))
  })

  it('keep typed arrays, null prototypes and cycles', async t => {
    const { gradio, user } = harness(t)
    const given = Object.assign(Object.create(null), { bytes: Uint16Array.of(1, 2), self: null })
    given.self = given
    const state = gradio.state('state', { value: given })
    const value = (await user().session()).get(state)
    assert.deepEqual(value.bytes, Uint16Array.of(1, 2))
    assert.equal(value.self, value)
    assert.notEqual(value, given)
  })

  it('are created by a function for each session, once each time that the value is created', async t => {
    let made = 0
    const { gradio, clock, user } = harness(t)
    const state = gradio.state('state', { value: () => ({ number: ++made }), timeToLive: 10 })
    const one = await user('one').session()
    const two = await user('two').session()
    assert.equal(one.get(state).number, 1)
    assert.equal(one.get(state).number, 1)
    assert.equal(two.get(state).number, 2)
    await clock.advance(10)
    assert.equal(one.has(state), false)
    assert.equal(one.get(state).number, 3)
  })

  it('whose creation fails leave nothing behind', async t => {
    const { gradio, user } = harness(t)
    const failure = new Error('no GPU')
    const state = gradio.state('state', {
      value: () => {
        throw failure
      },
    })
    const session = await user().session()
    assert.throws(() => session.get(state), failure)
    assert.equal(session.has(state), false)
  })

  it('that are falsy are values too', async t => {
    const { session, gradio, deleted, deleteCallback } = await kept(t)
    for (const [index, value] of [0, '', false, null, Number.NaN, 0n].entries()) {
      const state = gradio.state(`state ${index}`, { value, deleteCallback })
      assert.equal(session.has(state), false)
      assert.equal(session.get(state), value)
      assert.equal(session.has(state), true)
      assert.equal(await session.delete(state), true)
      assert.deepEqual(deleted.pop(), [value, 'deleted'])
    }
  })

  it('run the callback even if they were only ever read', async t => {
    const { gradio, session, deleted, deleteCallback } = await kept(t)
    const state = gradio.state('state', { value: [1], deleteCallback })
    session.get(state)
    await session.end()
    assert.deepEqual(deleted, [[[1], 'ended']])
  })
})

describe('time to live', () => {
  it('counts from the creation, and is not extended by reading', async t => {
    const { gradio, clock, session, deleted, deleteCallback } = await kept(t)
    const state = gradio.state('state', { value: 'x', timeToLive: '10s', deleteCallback })
    session.get(state)
    await clock.advance(9)
    assert.equal(session.get(state), 'x')
    await clock.advance(0.999)
    assert.deepEqual(deleted, [])
    await clock.advance(0.001)
    assert.deepEqual(deleted, [['x', 'timeToLive']])
    assert.equal(session.has(state), false)
  })

  for (const [what, renew] of Object.entries({
    set: (session, state) => session.set(state, { is: 'new' }),
    'set to the identical reference': (session, state) => session.set(state, session.get(state)),
    update: (session, state) => session.update(state, value => ({ ...value })),
    touch: (session, state) => assert.equal(session.touch(state), true),
  } as Record<string, (session: Session, state: AnyState) => void>)) {
    it(`is restarted by ${what}`, async t => {
      const { gradio, clock, session, deleted, deleteCallback } = await kept(t)
      const state = gradio.state('state', { value: () => ({ is: 'old' }), timeToLive: 10, deleteCallback })
      session.get(state)
      await clock.advance(6)
      renew(session, state)
      await clock.advance(9.999)
      assert.deepEqual(deleted, [])
      await clock.advance(0.001)
      assert.equal(deleted.length, 1)
    })
  }

  it('runs while the user is present, and is not extended by leaving', async t => {
    const { clock, gradio, user, deleted, deleteCallback } = await kept(t)
    const connection = await user().connect()
    const { session } = { session: await user().session() }
    session.set('short', 1, { timeToLive: 10, deleteCallback })
    session.set('long', 2, { timeToLive: '2h', deleteCallback })
    await clock.advance(5)
    connection.close()
    await clock.advance(5)
    assert.deepEqual(deleted, [[1, 'timeToLive']])
    await clock.advance('70m')
    assert.deepEqual(deleted.slice(1), [[2, 'disconnected']])
    assert.equal(gradio.stats().sessions, 0)
  })

  it('of a value that was replaced or deleted does not affect a newer one', async t => {
    const { clock, session, deleted, deleteCallback } = await kept(t)
    session.set('x', 'first', { timeToLive: 10, deleteCallback })
    await clock.advance(5)
    session.set('x', 'second')
    await clock.advance(7)
    assert.equal(session.get('x'), 'second')
    await session.delete('x')
    session.set('x', 'third', {})
    await clock.advance(100)
    assert.equal(session.get('x'), 'third')
    assert.deepEqual(deleted, [['second', 'deleted']])
  })

  it('may be longer than any timer', async t => {
    const { clock, session, deleted, deleteCallback } = await kept(t, { gracePeriod: '400d' })
    session.set('x', 1, { timeToLive: '60d', deleteCallback })
    session.set('y', 2, { timeToLive: Number.POSITIVE_INFINITY, deleteCallback })
    await clock.advance('59d')
    assert.deepEqual(deleted, [])
    await clock.advance('1d')
    assert.deepEqual(deleted, [[1, 'timeToLive']])
    assert.equal(session.has('y'), true)
  })

  it('touch returns that there is no value, and creates none', async t => {
    const { gradio, session } = await kept(t)
    const state = gradio.state('state', { value: 1 })
    assert.equal(session.touch(state), false)
    assert.equal(session.touch('name'), false)
    assert.equal(session.has(state), false)
  })
})

describe('update', () => {
  it('starts with the initial value', async t => {
    const { gradio, session } = await kept(t)
    const state = gradio.state('state', { value: [1] })
    assert.deepEqual(
      session.update(state, list => [...list, 2]),
      [1, 2],
    )
    assert.deepEqual(session.get(state), [1, 2])
  })

  const promises: [what: string, make: () => unknown][] = [
    ['a promise', () => Promise.resolve(1)],
    // biome-ignore lint/suspicious/noThenProperty: that is what makes it a thenable
    ['a thenable', () => ({ then: () => {} })],
    ['an async function', async () => 1],
    ['an async function that fails', async () => Promise.reject(new Error('late'))],
  ]
  for (const [what, make] of promises) {
    it(`with ${what} is a TypeError, and changes nothing`, async t => {
      const { gradio, session } = await kept(t)
      const state = gradio.state<unknown>('state', { value: 1 })
      assert.throws(() => session.update(state, make), TypeError)
      assert.equal(session.get(state), 1)
    })
  }

  it('whose function throws changes nothing', async t => {
    const { gradio, session } = await kept(t)
    const state = gradio.state('state', { value: 1 })
    const change = () => {
      throw new RangeError('x')
    }
    assert.throws(() => session.update(state, change), RangeError)
    assert.equal(session.get(state), 1)
  })

  it('of a plain name keeps its options', async t => {
    const { session, deleted, deleteCallback } = await kept(t)
    session.set('x', 1, { deleteCallback })
    session.update('x', value => (value as number) + 1)
    await session.delete('x')
    assert.deepEqual(deleted, [[2, 'deleted']])
  })
})

describe('replacing', () => {
  it('runs no callback, as in Gradio', async t => {
    const { session, deleted, deleteCallback } = await kept(t)
    session.set('x', 1, { deleteCallback })
    session.set('x', 2)
    await session.end()
    assert.deepEqual(deleted, [[2, 'ended']])
  })

  it('with deleteReplaced runs the callback of the old value, with the options it was set with', async t => {
    const { session, deleted, deleteCallback } = await kept(t)
    session.set('x', 1, { deleteCallback, deleteReplaced: true })
    session.set('x', 2, { deleteCallback })
    assert.deepEqual(deleted, [[1, 'replaced']])
    session.set('x', 3, { deleteCallback, deleteReplaced: true })
    assert.equal(deleted.length, 1)
  })

  it('of a disposable value without a callback disposes of the old one', async t => {
    const { gradio, session, clock } = await kept(t)
    const log: string[] = []
    const handle = (name: string) => ({ [Symbol.dispose]: () => log.push(name) })
    const model = gradio.state<Disposable>('model')
    const initial = gradio.state('initial', { value: () => handle('initial') })
    session.set('plain', handle('plain'))
    session.set('plain', handle('second'))
    session.set(model, handle('defined'))
    session.set(model, handle('third'))
    session.get(initial)
    session.update(initial, () => handle('fourth'))
    await clock.advance(0)
    assert.deepEqual(log.splice(0), ['plain', 'defined', 'initial'])
    session.set('plain', 'not disposable')
    session.set('plain', handle('fifth'))
    await clock.advance(0)
    assert.deepEqual(log.splice(0), ['second'])
    await session.end()
    assert.deepEqual(log.sort(), ['fifth', 'fourth', 'third'])
  })

  it('of a disposable value does not dispose of the old one with deleteReplaced: false, or with a callback', async t => {
    const { session, clock, deleted, deleteCallback } = await kept(t)
    const log: string[] = []
    const handle = (name: string) => ({ [Symbol.asyncDispose]: async () => void log.push(name) })
    session.set('kept', handle('kept'), { deleteReplaced: false })
    session.set('kept', handle('second'))
    session.set('told', handle('told'), { deleteCallback })
    session.set('told', handle('third'))
    await clock.advance(0)
    assert.deepEqual([log, deleted], [[], []])
  })

  it('of a disposable value by itself, or by one changed in place, replaces nothing', async t => {
    const { gradio, session, clock } = await kept(t)
    const log: string[] = []
    const value = { count: 0, [Symbol.dispose]: () => log.push('disposed') }
    const state = gradio.state('state', { value: () => value, timeToLive: 60 })
    session.set(state, value)
    session.set(state, value)
    session.update(state, value => Object.assign(value, { count: 1 }))
    await clock.advance(59)
    assert.deepEqual(log, [])
    await clock.advance(1)
    assert.deepEqual(log, ['disposed'])
  })

  it("by the identical reference doesn't count, whatever its type", async t => {
    const { session, deleted, deleteCallback } = await kept(t)
    const object = {}
    for (const value of [object, Number.NaN, 'x', undefined]) {
      session.set('x', value, { deleteCallback, deleteReplaced: true })
      session.set('x', value)
      session.update('x', value => value)
    }
    assert.deepEqual(deleted, [
      [object, 'replaced'],
      [Number.NaN, 'replaced'],
      ['x', 'replaced'],
    ])
  })

  it('a value that is changed in place and set again replaces nothing', async t => {
    const { gradio, session, deleted, deleteCallback } = await kept(t)
    const state = gradio.state('state', { value: () => [1], deleteCallback, deleteReplaced: true })
    session.update(state, list => {
      list.push(2)
      return list
    })
    assert.deepEqual(deleted, [])
    assert.deepEqual(session.get(state), [1, 2])
  })
})

describe('plain names', () => {
  it('may be names of properties that every object has', async t => {
    const { session, deleted, deleteCallback } = await kept(t)
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'then', 'a b/../ü']
    for (const name of names) {
      assert.equal(session.has(name), false, name)
      assert.equal(session.get(name), undefined, name)
      session.set(name, name, { deleteCallback })
    }
    for (const name of names) assert.equal(session.get(name), name)
    await session.end()
    assert.deepEqual(
      deleted.map(([value]) => value),
      names,
    )
    assert.equal(({} as Record<string, unknown>).deleteCallback, undefined)
  })

  it('keep their options until the value is deleted', async t => {
    const { session, deleted, deleteCallback } = await kept(t)
    session.set('x', 1, { deleteCallback })
    session.set('x', 2)
    await session.delete('x')
    session.set('x', 3)
    await session.delete('x')
    assert.deepEqual(deleted, [[2, 'deleted']])
  })

  it('are separate in each session', async t => {
    const { user } = harness(t)
    const one = await user('one').session()
    const two = await user('two').session()
    one.set('x', 1)
    assert.equal(two.get('x'), undefined)
    assert.notEqual(one.id, two.id)
  })
})

type Session = Awaited<ReturnType<typeof kept>>['session']
type AnyState = import('../../lib/index.ts').State<{ is: string }>
