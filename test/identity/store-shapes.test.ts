// Different kinds of stores: how they answer, which methods they lack, and that they are restored.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import session, { type Store } from 'express-session'
import { gradioState } from '../../lib/index.ts'
import { GRACE, LIFETIME } from '../support/http/session-app.ts'
import { closeNow } from '../support/sessions/close-now.ts'
import { frameworkHarness, type HarnessUser } from '../support/sessions/framework-harness.ts'
import { deferred } from '../support/sessions/harness.ts'
import { TroubledStore } from '../support/stores/troubled-store.ts'

type Done = (error?: unknown, found?: unknown) => void

/** A store whose `get` is replaced, after express-session has accepted its requests. */
function answering(t: TestContext, get: (id: string, done: Done) => unknown) {
  const store = new TroubledStore()
  const harness = frameworkHarness(t, { store, options: { store: { get, set: noop, destroy: noop } } })
  return { ...harness, store }
}

const noop = () => {}

/** Starts a session whose framework session was stored earlier, as on a second request: its save is not observed. */
async function requestTwice(user: HarnessUser): Promise<void> {
  await user.session()
  await user.request()
}

const expired = ['unload disconnected @2', `ended expired @${LIFETIME + GRACE}`]

async function logout(user: HarnessUser): Promise<void> {
  await user.request(({ session }) => new Promise<void>(resolve => session.destroy(() => resolve())))
}

const ENOENT = Object.assign(new Error('no such file'), { code: 'ENOENT' })

for (const [what, get] of Object.entries<(id: string, done: Done) => unknown>({
  'no error and no session': (_id, done) => setImmediate(done),
  'null, at once': (_id, done) => done(null, null),
  'the error ENOENT, as session-file-store does': (_id, done) => done(ENOENT),
  'a callback and a promise': async (_id, done) => void done(null, undefined),
  'two callbacks': (_id, done) => [done(null, null), done(new Error('once more'))],
})) {
  it(`${what} means that a session is gone`, async t => {
    const { clock, log, user } = answering(t, get)
    await requestTwice(user())
    await clock.advance(LIFETIME + GRACE)
    assert.deepEqual(log, expired)
  })
}

for (const [what, get] of Object.entries<(id: string, done: Done) => unknown>({
  'an error': (_id, done) => done(new Error('away')),
  'an error, twice': (_id, done) => [done(new Error('away')), done(new Error('away'))],
  'an error, and then nothing': (_id, done) => [done(new Error('away')), done()],
  'a throw': () => {
    throw new Error('away')
  },
  'a promise that rejects': async () => {
    throw new Error('away')
  },
  'an error and a promise that rejects': async (_id, done) => {
    done(new Error('away'))
    throw new Error('away')
  },
  'no answer at all': () => {},
})) {
  it(`${what} leaves the state unknown, and is reported once`, async t => {
    const { clock, errors, gradio, log, user } = answering(t, get)
    const me = user()
    await me.connectedSession()
    await me.request()
    await clock.advance(2 * (LIFETIME + GRACE))
    assert.deepEqual(log, [])
    assert.equal(gradio.stats().sessions, 1)
    assert.equal(errors.splice(0).length, 1)
  })
}

it('a store without touch and clear is watched like any other', async t => {
  const store = new TroubledStore()
  Object.assign(store, { touch: undefined, clear: undefined })
  const { clock, log, user } = frameworkHarness(t, { store, options: { keepAlive: true } })
  await user().session()
  await clock.advance(LIFETIME + GRACE)
  assert.deepEqual(log, expired)
})

it('a frozen store without any of these can be passed as the option', async t => {
  const inner = new TroubledStore()
  const facade = Object.freeze({
    get: inner.get.bind(inner),
    set: inner.set.bind(inner),
    destroy: inner.destroy.bind(inner),
  })
  const { clock, log, user } = frameworkHarness(t, { store: inner, options: { store: facade } })
  await requestTwice(user())
  await clock.advance(LIFETIME + GRACE)
  assert.deepEqual(log, expired)
})

it('a store whose methods cannot be replaced is queried anyway', async t => {
  const store = new TroubledStore()
  for (const name of ['get', 'set', 'touch', 'destroy', 'clear', 'regenerate'] as const) {
    Object.defineProperty(store, name, { value: store[name], configurable: false, writable: false })
  }
  const { clock, log, user } = frameworkHarness(t, { store, options: { gracePeriod: '1d' } })
  await requestTwice(user())
  await clock.advance(LIFETIME + 1)
  assert.deepEqual(store.ids, [], 'the library has asked')
  const other = user()
  await requestTwice(other)
  await logout(other)
  await clock.advance('1d')
  await clock.advance(LIFETIME)
  assert.equal(log.filter(line => line === 'ended expired @86460').length, 1)
  assert.equal(log.filter(line => line === 'ended expired @86521').length, 1, 'noticed at its deadline')
})

it('the store may differ from the one on the requests', async t => {
  const real = new TroubledStore()
  // Such as a cache in front of it: sessions destroyed in one are destroyed in the other.
  class Front extends TroubledStore {
    override destroy(id: string, done?: Done): void {
      super.destroy(id)
      real.destroy(id, done)
    }
    override set(...given: Parameters<TroubledStore['set']>): void {
      real.set(given[0], given[1])
      super.set(...given)
    }
  }
  const { clock, log, user } = frameworkHarness(t, { store: new Front(), options: { store: real } })
  const [first, second] = [user(), user()]
  await first.session()
  await second.session()
  await logout(first)
  await clock.advance(0)
  assert.deepEqual(log, ['unload destroyed @0', 'ended destroyed @0'])
  real.lose()
  await clock.advance(LIFETIME + GRACE)
  assert.deepEqual(log.slice(2), expired)
})

for (const at of ['before', 'after'] as const) {
  it(`two instances watch one store; when one is closed ${at} the other, the store is restored`, async t => {
    const store = new TroubledStore()
    // One method is the store's own, and one was added by the app.
    const own = { destroy: store.destroy.bind(store), set: store.set.bind(store) }
    Object.assign(store, own)
    const first = frameworkHarness(t, { store })
    const before = describe(store)
    const secondLog: string[] = []
    const second = gradioState({ store, clock: first.clock })
    second.ended(({ reason }) => secondLog.push(reason))
    const me = first.user()
    await me.session()
    assert.notDeepEqual(describe(store), before)
    if (at === 'before') await second.close({ timeout: 0 })
    await logout(me)
    await first.clock.advance(0)
    assert.deepEqual(first.log, ['unload destroyed @0', 'ended destroyed @0'])
    const closed = [first.gradio.close({ timeout: 0 }), second.close({ timeout: 0 })]
    await first.clock.advance(1)
    await Promise.all(closed)
    assert.deepEqual(describe(store), before)
    assert.equal(store.destroy, own.destroy)
  })
}

/** The own properties of a store, and its listeners. */
function describe(store: Store): unknown {
  const { _events, _eventsCount, sessions, calls, generate, ...properties } =
    Object.getOwnPropertyDescriptors(store) as Record<string, PropertyDescriptor>
  const listeners = store.eventNames().map(name => [name, store.listenerCount(name)])
  return { properties: Object.entries(properties), listeners }
}

it('close() keeps a method that other code has replaced since', async t => {
  const { clock, gradio, store, user } = frameworkHarness(t)
  await user().session()
  const followed = store.destroy
  const other: typeof store.destroy = function (this: TroubledStore, ...given) {
    return followed.apply(this, given)
  }
  store.destroy = other
  await closeNow(gradio, clock)
  assert.equal(store.destroy, other)
  await new Promise<void>(resolve => store.destroy('any', () => resolve()))
})

it('after close() no query is sent', async t => {
  const { clock, gradio, store, user } = frameworkHarness(t)
  await user().session()
  await closeNow(gradio, clock)
  store.take()
  await clock.advance(10 * LIFETIME)
  assert.deepEqual(store.take(), [])
  assert.equal(clock.timers, 0)
})

for (const how of ['destroy', 'clear'] as const) {
  it(`${how}() by other code ends the session at once, after it has succeeded`, async t => {
    const { clock, gradio, log, store, user } = frameworkHarness(t)
    const [me, other] = [user(), user()]
    await me.session()
    const { id } = await other.session()
    await new Promise<void>(resolve =>
      how === 'clear' ? store.clear(() => resolve()) : store.destroy(me.id, () => resolve()),
    )
    await clock.advance(0)
    assert.deepEqual(
      log.slice(0, 2),
      how === 'clear' ? Array(2).fill('unload destroyed @0') : ['unload destroyed @0', 'ended destroyed @0'],
    )
    assert.equal(gradio.session(id) === undefined, how === 'clear')
    assert.notEqual((await me.session()).id, id)
  })
}

it('destroy() without a callback, or with a promise, is detected too', async t => {
  const { clock, log, store, user } = frameworkHarness(t)
  const me = user()
  await me.session()
  store.destroy(me.id)
  await clock.advance(0)
  assert.deepEqual(log, ['unload destroyed @0', 'ended destroyed @0'])
})

it('a destroy that fails ends nothing', async t => {
  const { clock, log, store, user } = frameworkHarness(t)
  const me = user()
  const { id } = await me.session()
  store.trouble = method => (method === 'destroy' ? new Error('read-only') : undefined)
  await logout(me)
  await clock.advance(1)
  assert.deepEqual(log, [])
  store.trouble = () => undefined
  assert.equal((await me.session()).id, id, 'the framework session is still there')
})

for (const trouble of ['hangs', 'throws', 'fails'] as const) {
  it(`a logout is detected after a login whose destroy ${trouble}`, async t => {
    const { clock, log, store, user } = frameworkHarness(t)
    const me = user()
    const { id } = await me.session()
    store.trouble = method =>
      method !== 'destroy' ? undefined : trouble === 'fails' ? new Error('fails') : trouble
    const isOver = deferred()
    const login = me.request(async ({ session }) => {
      const { promise, resolve } = deferred()
      try {
        session.regenerate(() => resolve())
      } catch {
        resolve()
      }
      await Promise.race([promise, isOver.promise])
    })
    await new Promise(setImmediate)
    await clock.advance(1)
    assert.deepEqual(log, [])
    store.trouble = () => undefined
    await new Promise<void>(resolve => store.destroy(me.id, () => resolve()))
    await clock.advance(0)
    assert.deepEqual(log, ['unload destroyed @1', 'ended destroyed @1'], id)
    isOver.resolve()
    await login
  })
}

for (const onRegenerate of ['end', 'keep'] as const) {
  it(`regenerate works for a request that has unset its session (onRegenerate: '${onRegenerate}')`, async t => {
    const { log, store, user } = frameworkHarness(t, { options: { onRegenerate } })
    const me = user()
    const { id } = await me.session()
    const next = await me.request(async ({ req, state }) => {
      Object.assign(req, { session: null })
      await new Promise<void>(resolve => store.regenerate(req as never, () => resolve()))
      return state.id
    })
    assert.equal(next === id, onRegenerate === 'keep')
    assert.deepEqual(log.includes('ended regenerated @0'), onRegenerate === 'end')
  })
}

it("the store receives the caller's arguments and `this`, and the caller its result", async t => {
  const seen: unknown[] = []
  class Exact extends session.MemoryStore {
    override destroy(...given: unknown[]): never {
      seen.push([this, ...given.map(value => typeof value)])
      super.destroy(given[0] as string, given[1] as never)
      return 'given back' as never
    }
  }
  const store = new Exact()
  const { user } = frameworkHarness(t, { session: { store } })
  await user().session()
  const answer = await new Promise(resolve => {
    const given = (store.destroy as (...all: unknown[]) => unknown)(
      'any',
      (error: unknown) => resolve([given, error]),
      'more',
    )
  })
  assert.deepEqual(answer, ['given back', undefined])
  assert.deepEqual(seen, [[store, 'string', 'function', 'string']])
})
