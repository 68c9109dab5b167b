// Scopes: sessions below a session.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { GradioStateOptions, SessionView } from '../../lib/index.ts'
import { deferred, harness } from '../support/sessions/harness.ts'

const GRACE = 3600

/** An instance whose hooks record which session or scope they ran for: `unload a disconnected @2`. */
function scopes(t: TestContext, options?: GradioStateOptions) {
  const made = harness(t, options)
  const { gradio, clock } = made
  const log: string[] = []
  const note = (what: string, { key = 'session' }: SessionView, reason = '') =>
    log.push([what, key, reason, `@${clock.now() / 1000}`].filter(Boolean).join(' '))
  gradio.load(({ session }) => note('load', session), { scoped: true })
  gradio.unload(({ session, reason }) => note('unload', session, reason), { scoped: true })
  gradio.ended(({ session, reason }) => note('ended', session, reason), { scoped: true })
  const thing = gradio.state<string>('thing', {
    deleteCallback: (value, { session, reason }) => note(`delete ${value}`, session, reason),
  })
  return { ...made, log, thing }
}

describe('a scope', () => {
  it('costs nothing until it is used', async t => {
    const { user, gradio, thing, log } = scopes(t)
    await user().request(async state => {
      const scope = state.scoped('a')
      assert.deepEqual(
        [scope.get('x'), scope.has(thing), scope.touch(thing), scope.pages],
        [undefined, false, false, 0],
      )
      assert.deepEqual(
        [await scope.delete('x'), await scope.files(), scope.signal.aborted],
        [false, [], false],
      )
      await scope.end()
    })
    assert.deepEqual([gradio.stats().sessions, log], [0, []])
  })

  it('has its own values and id, the same in each request of its session', async t => {
    const { user, thing } = scopes(t)
    const ids = await user('Ada').request(state => {
      state.set(thing, 'session')
      state.scoped('a').set(thing, 'a')
      state.scoped('b').set('plain', 'b')
      return [state.id, state.scoped('a').id, state.scoped('b').id]
    })
    assert.equal(new Set(ids).size, 3)
    await user('Ada').request(state => {
      assert.deepEqual([state.id, state.scoped('a').id, state.scoped('b').id], ids)
      assert.equal(state.scoped('a'), state.scoped('a'))
      assert.deepEqual(
        [
          state.get(thing),
          state.scoped('a').get(thing),
          state.scoped('b').get(thing),
          state.scoped('b').get('plain'),
        ],
        ['session', 'a', undefined, 'b'],
      )
    })
    await user('Bob').request(state => assert.equal(state.scoped('a').get(thing), undefined))
  })

  it('starts the session with its first use', async t => {
    const { user, gradio, log, clock } = scopes(t)
    await user().request(state => state.scoped('a').set('x', 1))
    await clock.advance(0)
    assert.deepEqual([gradio.stats().sessions, gradio.sessions().length], [1, 1])
    assert.deepEqual(log, ['load session @0', 'load a @0'])
  })

  it('unloads and ends by its own grace period, while its session continues', async t => {
    const { user, clock, log, thing } = scopes(t)
    const page = await user().connect()
    const id = await user().request(state => {
      state.scoped('a').set(thing, 'one')
      return state.scoped('a').id
    })
    await clock.advance(GRACE - 1)
    // A request that doesn't use it doesn't keep it.
    await user().request(state => state.set('x', 1))
    await clock.advance(1)
    assert.deepEqual(log.splice(0), [
      'load session @0',
      'load a @0',
      'unload a disconnected @2',
      `delete one a disconnected @${GRACE}`,
      `ended a disconnected @${GRACE}`,
    ])
    await user().request(state => {
      assert.equal(state.scoped('a').get(thing), undefined)
      assert.notEqual(state.scoped('a').id, id)
    })
    page.close()
  })

  it('is open while a request that has used it is in flight, and is loaded again by the next one', async t => {
    const { user, clock, log } = scopes(t, { gracePeriod: 60 })
    const page = await user().connect()
    const { state, end } = await user().begin()
    state.scoped('a').set('x', 1)
    const { signal } = state.scoped('a')
    await clock.advance(600)
    end()
    await clock.advance(30)
    assert.equal(signal.aborted, true)
    await user().request(state => assert.equal(state.scoped('a').get('x'), 1))
    await clock.advance(100)
    assert.deepEqual(log, [
      'load session @0',
      'load a @0',
      'unload a disconnected @602',
      'load a @630',
      'unload a disconnected @632',
      'ended a disconnected @690',
    ])
    page.close()
  })

  it('has the time to live of the state definition', async t => {
    const { gradio, user, clock } = scopes(t)
    const short = gradio.state('short', { value: 'initial', timeToLive: 10 })
    const page = await user().connect()
    await user().request(state => state.scoped('a').set(short, 'set'))
    await clock.advance(9)
    await user().request(state => assert.equal(state.scoped('a').get(short), 'set'))
    await clock.advance(1)
    await user().request(state => assert.equal(state.scoped('a').get(short), 'initial'))
    page.close()
  })

  it('has views with the session as parent, and its key', async t => {
    const { gradio, user, clock } = scopes(t, { info: () => 'info' })
    const views: SessionView[] = []
    gradio.load(({ session }) => views.push(session), { scoped: true })
    const { id, scope } = await user().request(state => ({ id: state.id, scope: state.scoped('a').id }))
    await clock.advance(0)
    const [session, view] = views
    assert.deepEqual([session?.parent, session?.key, session?.id], [undefined, undefined, id])
    assert.deepEqual([view?.parent, view?.key, view?.id, view?.info], [session, 'a', scope, 'info'])
    const { createdAt, directory } = view!
    assert.deepEqual(JSON.parse(JSON.stringify(view)), {
      ...{ id: scope, info: 'info', directory, parent: id, key: 'a' },
      createdAt: createdAt.toJSON(),
    })
  })

  it('runs only the hooks that were registered for scopes, but all its callbacks', async t => {
    const { gradio, user, clock } = harness(t)
    const log: string[] = []
    for (const name of ['load', 'unload', 'ended'] as const) gradio[name](() => log.push(name))
    const remove = gradio.load(() => log.push('removed'), { scoped: true })
    remove()
    const thing = gradio.state('thing', { value: 1, deleteCallback: () => log.push('delete') })
    await user().request(state => state.scoped('a').get(thing))
    await clock.advance(GRACE)
    assert.deepEqual(log, ['load', 'unload', 'delete', 'ended'])
  })

  it('refuses invalid options of hooks', t => {
    const { gradio } = harness(t)
    for (const options of [{ scope: true }, { scoped: 'yes' }, null])
      assert.throws(() => gradio.load(() => {}, options as never), { code: 'OPTION_INVALID' })
  })

  it('refuses invalid keys, and has no scopes', async t => {
    const { gradio, user } = scopes(t)
    await user().request(state => {
      for (const key of ['', 'x'.repeat(257), 1, undefined, '\ud800'])
        assert.throws(() => state.scoped(key as string), { code: 'OPTION_INVALID' })
      const longest = state.scoped(`/${'x'.repeat(255)}`)
      assert.notEqual(longest.id, state.id)
      assert.throws(() => (longest as typeof state).scoped('b'), {
        code: 'OPTION_INVALID',
        message: /a scope/,
      })
      assert.throws(() => gradio.session(longest.id)?.scoped('b'), {
        code: 'OPTION_INVALID',
        message: /a scope/,
      })
    })
  })

  it('that was ended refuses its request, and starts again with the next one', async t => {
    const { user, log, thing, clock } = scopes(t)
    await user().request(async state => {
      const scope = state.scoped('a')
      scope.set(thing, 'x')
      await scope.end()
      assert.throws(() => scope.set(thing, 'y'), { code: 'SESSION_ENDED' })
      assert.throws(() => scope.get('x'), { code: 'SESSION_ENDED' })
      assert.equal(state.get('x'), undefined)
    })
    await clock.advance(0)
    assert.deepEqual(log, [
      ...['load session @0', 'load a @0', 'unload a ended @0', 'delete x a ended @0', 'ended a ended @0'],
    ])
    await user().request(state => state.scoped('a').set(thing, 'z'))
  })
})

describe('the scopes of a session', () => {
  it('unload and end with it, before it, with the same reason', async t => {
    const { gradio, user, clock, log, thing } = scopes(t)
    const session = await user().request(state => {
      state.set(thing, 'S')
      state.scoped('a').set(thing, 'A')
      state.scoped('b').set(thing, 'B')
      return state.id
    })
    await clock.advance(1)
    await gradio.endSession(session)
    assert.deepEqual(log, [
      ...['load session @0', 'load a @0', 'load b @0'],
      ...['unload a ended @1', 'unload b ended @1'],
      ...['delete A a ended @1', 'delete B b ended @1', 'ended a ended @1', 'ended b ended @1'],
      ...['unload session ended @1', 'delete S session ended @1', 'ended session ended @1'],
    ])
    await user().request(state => assert.equal(state.scoped('a').get(thing), undefined))
  })

  it('unload before it, even those in use by a long request', async t => {
    const { user, clock, log, gradio } = scopes(t)
    const slow = deferred()
    gradio.unload(({ session }) => (session.key === 'a' ? slow.promise : undefined), { scoped: true })
    const page = await user().connect()
    const { state, end } = await user().begin()
    state.scoped('a').set('x', 1)
    page.close()
    await clock.advance(4)
    assert.deepEqual(log.splice(0), ['load session @0', 'load a @0', 'unload a disconnected @3.5'])
    assert.equal(state.scoped('a').signal.aborted, true)
    // The session is unloading, so nothing loads a scope of it.
    state.scoped('b').set('x', 1)
    const next = user().begin()
    slow.resolve()
    await clock.advance(0)
    const { state: nextState, end: endNext } = await next
    nextState.scoped('a').set('x', 2)
    await clock.advance(0)
    assert.deepEqual(log, ['unload session disconnected @4', 'load session @4', 'load b @4', 'load a @4'])
    end()
    endNext()
  })

  it('are not loaded by a request that has outlived the unload of the session', async t => {
    const { user, clock, log, thing } = scopes(t)
    const page = await user().connect()
    const { state, end } = await user().begin()
    page.close()
    await clock.advance(10)
    assert.deepEqual(log.splice(0), ['load session @0', 'unload session disconnected @3.5'])
    state.scoped('a').set(thing, 'late')
    assert.equal(state.scoped('a').signal.aborted, true)
    end()
    await clock.advance(10)
    assert.deepEqual(log, [])
    await user().request(state => assert.equal(state.scoped('a').get(thing), 'late'))
    await clock.advance(0)
    assert.deepEqual(log, ['load session @20', 'load a @20'])
  })

  it('load after it', async t => {
    const { gradio, user, clock, log } = scopes(t)
    const slow = deferred()
    gradio.load(() => slow.promise)
    await user().request(state => state.scoped('a').set('x', 1))
    await clock.advance(1)
    assert.deepEqual(log, ['load session @0'])
    slow.resolve()
    await clock.advance(0)
    assert.deepEqual(log, ['load session @0', 'load a @1'])
  })

  it('are evicted beyond maxScopes, the longest closed first; an open one never is', async t => {
    const { user, log, thing, clock } = scopes(t, { maxScopes: 2 })
    const use = (key: string) => user().request(state => state.scoped(key).set(thing, key))
    await use('a')
    await use('b')
    await use('a')
    log.length = 0
    await use('c')
    await clock.advance(0)
    assert.deepEqual(log, ['load c @0', 'unload b evicted @0', 'delete b b evicted @0', 'ended b evicted @0'])
    const { state, end } = await user().begin()
    state.scoped('a').set('x', 1)
    state.scoped('c').set('x', 1)
    assert.throws(() => state.scoped('d').set('x', 1), { code: 'TOO_MANY_SCOPES', status: 503 })
    assert.equal(state.scoped('d').get('x'), undefined)
    await user('other').request(state => state.scoped('d').set('x', 1))
    end()
    await use('d')
  })

  it('of all sessions are at most twice maxSessions: the one that has been closed the longest is evicted', async t => {
    const { user, log, clock } = scopes(t, { maxSessions: 2, maxScopes: 3 })
    const use = async (name: string, key: string) => {
      await user(name).request(state => state.scoped(key).set('x', key))
      await clock.advance(0)
    }
    for (const [name, key] of ['ann a', 'ben b', 'ann c', 'ben d', 'ann a'].map(text => text.split(' ')))
      await use(name!, key!)
    log.length = 0
    await use('ann', 'e')
    await use('ben', 'f')
    const unloaded = log.filter(line => line.startsWith('unload'))
    assert.deepEqual(unloaded, ['unload b evicted @0', 'unload c evicted @0'])
  })

  it('of all sessions are refused beyond twice maxSessions when all are open', async t => {
    const { user } = scopes(t, { maxSessions: 2, maxScopes: 3 })
    const requests = await Promise.all([user('ann').begin(), user('ben').begin()])
    for (const { state } of requests) for (const key of ['a', 'b']) state.scoped(key).set('x', key)
    const [{ state }] = requests
    assert.throws(() => state.scoped('c').set('x', 1), {
      code: 'TOO_MANY_SCOPES',
      message: /2 × maxSessions/,
    })
    requests[1].end()
    state.scoped('c').set('x', 1)
    requests[0].end()
  })

  it('are refused while the callbacks of as many evicted ones are running', async t => {
    const { gradio, user, clock } = scopes(t, { maxScopes: 2 })
    const slow = deferred()
    gradio.ended(() => slow.promise, { scoped: true })
    const use = (key: string) => user().request(state => state.scoped(key).set('x', key))
    for (const key of ['a', 'b', 'c', 'd']) await use(key)
    await clock.advance(0)
    await assert.rejects(use('e'), { code: 'TOO_MANY_SCOPES' })
    slow.resolve()
    await clock.advance(0)
    await use('e')
  })

  it('are not counted or listed as sessions, but found by their ids', async t => {
    const { gradio, user, thing } = scopes(t, { maxSessions: 1 })
    const id = await user().request(state => {
      for (let number = 0; number < 5; number++) state.scoped(`${number}`).set(thing, `${number}`)
      return state.scoped('3').id
    })
    const { sessions, open, loaded, ending } = gradio.stats()
    assert.deepEqual([sessions, open, loaded, ending, gradio.sessions().length], [1, 0, 1, 0, 1])
    assert.equal(gradio.session(id)?.get(thing), '3')
    assert.equal(await gradio.endSession(id), true)
    assert.equal(gradio.session(id), undefined)
    assert.equal(gradio.stats().ended.ended, 0)
  })

  it('end when their session is evicted, and at close()', async t => {
    const { gradio, user, clock, log, thing } = scopes(t, { maxSessions: 1 })
    await user('one').request(state => state.scoped('a').set(thing, 'A'))
    await user('two').request(state => state.scoped('a').set(thing, 'B'))
    await clock.advance(0)
    assert.deepEqual(
      log.filter(line => line.includes('evicted')),
      [
        ...['unload a evicted @0', 'delete A a evicted @0', 'ended a evicted @0'],
        ...['unload session evicted @0', 'ended session evicted @0'],
      ],
    )
    log.length = 0
    const { timedOut } = await gradio.close()
    assert.deepEqual(timedOut, [])
    assert.deepEqual(log, [
      ...['unload a shutdown @0', 'delete B a shutdown @0', 'ended a shutdown @0'],
      ...['unload session shutdown @0', 'ended session shutdown @0'],
    ])
  })

  it('of many sessions end at the same time', async t => {
    const { gradio, user, clock, thing } = scopes(t)
    let deleted = 0
    gradio.ended(
      async ({ session }) => {
        await Promise.resolve()
        if (session.parent !== undefined) deleted++
      },
      { scoped: true },
    )
    for (let number = 0; number < 300; number++)
      await user(`${number}`).request(state => {
        for (const key of ['a', 'b', 'c']) state.scoped(key).set(thing, key)
      })
    await clock.advance(GRACE)
    assert.deepEqual([gradio.stats().sessions, gradio.stats().ending, deleted], [0, 0, 900])
  })

  it('can end the session in a hook, and be ended in a hook of the session', async t => {
    const { gradio, user, clock, log, thing } = scopes(t)
    gradio.unload(
      async ({ session }) => {
        if (session.key === 'a') await gradio.endSession(session.parent!.id)
      },
      { scoped: true },
    )
    gradio.load(async ({ session }) => {
      const scope = gradio.session(session.id)?.scoped('by hook')
      scope?.set(thing, 'H')
      await scope?.end()
    })
    const page = await user().connect()
    await user().request(state => state.scoped('a').set(thing, 'A'))
    await clock.advance(2)
    assert.deepEqual(log, [
      ...['load session @0', 'load by hook @0', 'load a @0'],
      ...['unload by hook ended @0', 'delete H by hook ended @0', 'ended by hook ended @0'],
      ...['unload a disconnected @2', 'delete A a ended @2', 'ended a ended @2'],
      ...['unload session ended @2', 'ended session ended @2'],
    ])
    page.close()
  })
})

describe('gradio.session(id).scoped(key)', () => {
  it('uses the scope without opening it', async t => {
    const { gradio, user, clock, log, thing } = scopes(t, { gracePeriod: 60 })
    const session = await user().session()
    const scope = session.scoped('a')
    assert.deepEqual(
      [scope.get('x'), scope.has(thing), scope.signal.aborted, log.splice(0)],
      [undefined, false, true, ['load session @0']],
    )
    await clock.advance(10)
    assert.deepEqual(log.splice(0), ['unload session disconnected @2'])
    scope.set(thing, 'A')
    assert.equal(gradio.session(scope.id)?.get(thing), 'A')
    assert.equal(session.scoped('a').get(thing), 'A')
    await user().request(state => assert.equal(state.scoped('a').id, scope.id))
    await clock.advance(60)
    assert.deepEqual(log, [
      ...['load session @10', 'load a @10'],
      ...['unload a disconnected @12', 'unload session disconnected @12'],
      ...['delete A a disconnected @70', 'ended a disconnected @70', 'ended session disconnected @70'],
    ])
    assert.throws(() => scope.set(thing, 'B'), { code: 'SESSION_ENDED' })
  })
})

describe('a shared value', () => {
  it('takes a scope', async t => {
    const { gradio, user, clock } = scopes(t)
    const deleted: unknown[] = []
    const cart = gradio.sharedState('cart', {
      value: () => [] as string[],
      deleteCallback: (value, { session }) => deleted.push([value, session.key]),
    })
    gradio.ended(async ({ session }) => deleted.push(await cart.get(session)), { scoped: true })
    await user().request(async state => {
      assert.equal(await cart.has(state.scoped('a')), false)
      await cart.update(state.scoped('a'), items => [...items, 'one'])
      assert.deepEqual([await cart.get(state), await cart.get(state.scoped('a'))], [[], ['one']])
    })
    await clock.advance(GRACE)
    assert.deepEqual(deleted, [[['one'], 'a'], ['one'], [[], undefined], []])
  })
})
