// Results of the app's functions that look like promises but can't be awaited.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { GradioStateError, HookEvent } from '../../lib/index.ts'
import { type Harness, harness } from '../support/sessions/harness.ts'

class Deaf extends Promise<never> {
  // biome-ignore lint/suspicious/noThenProperty: that is what is tested
  override then(): never {
    throw new Error('deaf')
  }
}

interface Odd {
  make(): unknown
  /** The error that is reported for it, if any. */
  readonly fails?: RegExp
}

const failing = (message: string) => () => {
  throw new Error(message)
}
/** An object whose `then` is defined by the given property descriptor. */
const withThen = (then: PropertyDescriptor, object: object = {}) =>
  Object.defineProperty(object, 'then', then)
type Settle = (value?: unknown) => void

const ODD: Readonly<Record<string, Odd>> = {
  'a revoked Proxy': { make: revoked, fails: /revoked/ },
  'a getter `then` that throws': { make: () => withThen({ get: failing('getter') }), fails: /getter/ },
  'a getter `then` that throws the second time': {
    make() {
      let reads = 0
      return withThen({ get: () => (reads++ === 0 ? (settle: Settle) => settle() : failing('again')()) })
    },
  },
  'a `then` that throws': { make: () => withThen({ value: failing('then') }), fails: /then/ },
  'a function whose `then` throws': {
    make: () => withThen({ value: failing('then') }, () => {}),
    fails: /then/,
  },
  'a `then` that calls back twice': {
    make: () =>
      withThen({
        value(resolve: Settle, reject: Settle) {
          resolve()
          resolve()
          reject(new Error('too late'))
        },
      }),
  },
  'a `then` that rejects twice': {
    make: () =>
      withThen({
        value(_resolve: Settle, reject: Settle) {
          reject(new Error('first'))
          reject(new Error('second'))
        },
      }),
    fails: /first/,
  },
  'a `then` that throws after it has called back': {
    make: () =>
      withThen({
        value(resolve: Settle) {
          resolve()
          throw new Error('afterwards')
        },
      }),
  },
  'a `then` that gives another of that kind': {
    make: () => withThen({ value: (resolve: Settle) => resolve(withThen({ get: failing('inner') })) }),
    fails: /inner/,
  },
  'a `then` that never calls back': { make: () => withThen({ value() {} }), fails: /within 5 s/ },
  'a rejected promise with a `then` of its own that throws': {
    make: () => withThen({ value: failing('own') }, Promise.reject(new Error('rejected'))),
    fails: /own/,
  },
  'a rejected promise with a `then` of its own that never calls back': {
    make: () => withThen({ value() {} }, Promise.reject(new Error('rejected'))),
    fails: /within 5 s/,
  },
  'a rejected promise of a class whose `then` throws': {
    make: () => new Deaf((_resolve, reject) => reject(new Error('rejected'))),
    fails: /deaf/,
  },
  'a promise whose `constructor` throws': {
    make: () => Object.defineProperty(Promise.resolve(), 'constructor', { get: failing('constructor') }),
    fails: /constructor/,
  },
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

/** The messages of the reported errors, by source. */
function takeErrors({ errors }: Harness): string[] {
  return errors.splice(0).map(({ error, context }) => `${context.source}: ${(error as Error).message}`)
}

/** Whether a revoked Proxy can be disposed of can't be detected. */
function assertUndisposable(app: Harness): void {
  for (const report of takeErrors(app)) assert.match(report, /^deleteCallback: .*revoked/)
}

function assertReported(app: Harness, source: string, { fails }: Odd): void {
  const reports = takeErrors(app)
  assert.equal(reports.length, fails === undefined ? 0 : 1, `${reports}`)
  if (fails !== undefined) assert.match(reports[0] ?? '', new RegExp(`^${source}: .*${fails.source}`))
}

for (const [name, odd] of Object.entries(ODD)) {
  describe(name, () => {
    for (const hook of ['load', 'unload', 'ended'] as const) {
      it(`of a hook (${hook}): the others run, and it is reported`, async t => {
        const app = harness(t)
        const { gradio, clock, user } = app
        const log: string[] = []
        gradio[hook](() => odd.make())
        for (const each of ['load', 'unload', 'ended'] as const)
          gradio[each](({ session }: HookEvent) => log.push(`${each} ${session.get('name')}`))
        const session = await user().session()
        session.set('name', 'Ada', { deleteCallback: () => log.push('deleted') })
        await clock.advance('1h')
        await clock.advance('1h')
        assert.deepEqual(log, ['load undefined', 'unload Ada', 'deleted', 'ended Ada'])
        assert.deepEqual([gradio.stats().sessions, gradio.stats().ending], [0, 0])
        assertReported(app, hook, odd)
      })
    }

    const deletions: Record<string, (app: Harness, value: string) => unknown> = {
      'by its time': ({ clock }) => clock.advance(60),
      'by delete': ({ gradio }) => gradio.sessions()[0]?.delete('value'),
      'by being replaced': ({ gradio }) => gradio.sessions()[0]?.set('value', 'another'),
      'at the end': ({ clock }) => clock.advance('2h'),
    }
    for (const [way, remove] of Object.entries(deletions)) {
      it(`of a delete callback, ${way}: the session ends, and it is reported`, async t => {
        const app = harness(t)
        const { gradio, clock, user } = app
        const session = await user().session()
        let calls = 0
        const deleteCallback = () => {
          calls++
          return calls === 1 ? odd.make() : undefined
        }
        session.set('value', 'value', { deleteCallback, deleteReplaced: true, timeToLive: 60 })
        const removed = remove(app, 'value')
        await clock.advance(10)
        await removed
        await clock.advance('2h')
        assert.deepEqual([gradio.stats().sessions, gradio.stats().ending], [0, 0])
        assertReported(app, 'deleteCallback', odd)
      })
    }

    it('of a disposal', async t => {
      const app = harness(t)
      const session = await app.user().session()
      session.set('value', { [Symbol.asyncDispose]: () => odd.make() })
      await app.clock.advance('2h')
      assert.equal(app.gradio.stats().ending, 0)
      assertReported(app, 'deleteCallback', odd)
    })

    it('of a shared value’s callback', async t => {
      const app = harness(t)
      const { gradio, clock, user } = app
      const shared = gradio.sharedState<number>('shared', { deleteCallback: () => odd.make() })
      await user().request(async state => {
        await shared.set(state, 1)
      })
      await clock.advance('2h')
      assert.equal(gradio.stats().ending, 0)
      assertReported(app, 'deleteCallback', odd)
    })

    it('of info()', async t => {
      const app = harness(t, { info: () => odd.make() })
      await app.user().session()
      await app.clock.advance(10)
      assert.equal(app.gradio.stats().sessions, 1)
      assertReported(app, 'info', odd)
    })

    it('of a listener of `error`: the others are called', async t => {
      const said = t.mock.method(console, 'error', () => {})
      const app = harness(t)
      const { gradio, user, errors } = app
      const received: unknown[] = []
      const listener = () => odd.make() as undefined
      gradio.on('error', listener)
      gradio.on('error', error => received.push(error))
      gradio.load(failing('load'))
      await user().session()
      await app.clock.advance(10)
      assert.deepEqual([errors.splice(0).length, received.length], [1, 1])
      const isTimeout = odd.fails?.source.startsWith('within')
      assert.equal(said.mock.callCount(), odd.fails === undefined || isTimeout ? 0 : 1)
    })

    it('of identify(): only the request fails', async t => {
      const { user } = harness(t, { identify: () => odd.make() as string })
      await assert.rejects(user().request(), { code: 'OPTION_INVALID' })
    })

    it('of update(): either rejected, or the value', async t => {
      const app = harness(t)
      const session = await app.user().session()
      const value = odd.make()
      try {
        session.update('value', () => value)
        assert.equal(session.get('value'), value)
      } catch (error) {
        assert.match((error as Error).message, /got a promise/)
      }
      await app.clock.advance('2h')
      assert.equal(app.gradio.stats().ending, 0)
      assertUndisposable(app)
    })

    it('of an initial value: it is the value, and is deleted like others', async t => {
      const app = harness(t)
      const { gradio, clock, user } = app
      const timed = gradio.state<unknown>('timed', { value: () => odd.make(), timeToLive: 60 })
      const kept = gradio.state<unknown>('kept', { value: () => odd.make() })
      const other = gradio.state<number>('other', { value: 1, deleteCallback: () => calls.push('other') })
      const calls: string[] = []
      const session = await user().session()
      const given = session.get(kept)
      session.get(timed)
      session.get(other)
      await clock.advance(10)
      assert.ok(session.get(kept) === given)
      await clock.advance(60)
      assert.equal(session.has(timed), false)
      session.set(kept, 'another')
      await clock.advance('2h')
      assert.deepEqual(calls, ['other'])
      assert.equal(gradio.stats().ending, 0)
      assertUndisposable(app)
    })

    it("of a shared initial value: the caller's promise rejects", async t => {
      const { gradio, user } = harness(t)
      const shared = gradio.sharedState<unknown>('shared', { value: () => odd.make() })
      await user().request(async state => {
        const given = shared.get(state)
        await given.catch((error: GradioStateError) => assert.equal(error.code, 'VALUE_UNSERIALIZABLE'))
      })
    })
  })
}

describe('errors of hooks may throw when they are read', () => {
  const thrown: Record<string, () => unknown> = {
    'a revoked Proxy': revoked,
    'an object whose inspection throws': () => ({
      [Symbol.for('nodejs.util.inspect.custom')]: failing('no'),
    }),
    'an error whose stack throws': () => Object.defineProperty(new Error(), 'stack', { get: failing('no') }),
    nothing: () => undefined,
  }
  for (const [name, make] of Object.entries(thrown)) {
    const failed = () => {
      throw make()
    }
    it(`${name}: on the console`, async t => {
      const said = t.mock.method(console, 'error')
      const { gradio, clock, user, unlisten } = harness(t)
      unlisten()
      const log: string[] = []
      gradio.unload(failed)
      gradio.unload(() => log.push('unload'))
      await user().session()
      await clock.advance('2h')
      assert.deepEqual(log, ['unload'])
      assert.ok(said.mock.calls.some(({ arguments: [text] }) => String(text).includes('the unload hook')))
      assert.equal(gradio.stats().ending, 0)
    })

    it(`${name}: by a listener of \`error\``, async (t: TestContext) => {
      const said = t.mock.method(console, 'error')
      const { gradio, clock, user, errors } = harness(t)
      gradio.on('error', failed)
      gradio.unload(failing('hook'))
      await user().session()
      await clock.advance('2h')
      assert.equal(errors.splice(0).length, 1)
      assert.ok(said.mock.callCount() > 0)
    })
  }
})
