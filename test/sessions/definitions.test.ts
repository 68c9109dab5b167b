import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GradioState, StateOptions } from '../../lib/index.ts'
import { isAbout } from '../support/option-error.ts'
import { harness } from '../support/sessions/harness.ts'

describe('state() throws for an invalid definition', () => {
  const wrongOptions: [name: string, value: unknown, shown: string][] = [
    ['timeToLive', 0, '0'],
    ['timeToLive', -1, '-1'],
    ['timeToLive', Number.NaN, 'NaN'],
    ['timeToLive', '10 parsecs', '"10 parsecs"'],
    ['timeToLive', '0', '"0"'],
    ['timeToLive', '0s', '"0s"'],
    ['timeToLive', null, 'null'],
    ['timeToLive', Number.NEGATIVE_INFINITY, '-Infinity'],
    ['deleteCallback', 'free', '"free"'],
    ['deleteCallback', {}, 'an object (Object)'],
    ['deleteCallback', null, 'null'],
    ['deleteReplaced', 'yes', '"yes"'],
    ['deleteReplaced', 0, '0'],
    ['ttl', 5, '"ttl"'],
  ]
  for (const [name, value, shown] of wrongOptions) {
    it(`${name}: ${shown}`, t => {
      const { gradio } = harness(t)
      const options = { [name]: value } as StateOptions<unknown>
      assert.throws(
        () => gradio.state('model', options),
        isAbout(name === 'ttl' ? '' : name, shown, '"model"'),
      )
      // A rejected name is not defined.
      gradio.state('model', {})
    })

    it(`${name}: ${shown}, under a plain name`, async t => {
      const { user } = harness(t)
      const session = await user().session()
      const options = { [name]: value } as StateOptions<unknown>
      assert.throws(
        () => session.set('model', {}, options),
        isAbout(name === 'ttl' ? '' : name, shown, '"model"'),
      )
      assert.equal(session.has('model'), false)
    })
  }

  for (const options of [null, 5, 'x', [], false]) {
    it(`options that are not an object: ${JSON.stringify(options)}`, async t => {
      const { gradio, user } = harness(t)
      const session = await user().session()
      assert.throws(() => gradio.state('model', options as never), isAbout('the options'))
      assert.throws(() => session.set('model', {}, options as never), isAbout('the options'))
    })
  }

  for (const name of ['', 5, null, undefined, Symbol('x'), {}]) {
    it(`an invalid name: ${String(name)}`, t => {
      const { gradio } = harness(t)
      assert.throws(() => gradio.state(name as string), isAbout('the name'))
    })
  }

  it('a second definition of a name', t => {
    const { gradio } = harness(t)
    gradio.state('model')
    assert.throws(() => gradio.state('model'), isAbout('"model"', '', '', 'STATE_DUPLICATE'))
  })

  class Handle {
    close() {}
  }
  const uncloneable: [what: string, value: unknown][] = [
    ['an instance of a class', new Handle()],
    ['an instance in an array', [[new Handle()]]],
    ['an instance in a property', { a: { b: new Handle() } }],
    ['an instance in a Map', new Map([['a', new Handle()]])],
    ['an instance as the key of a Map', new Map([[new Handle(), 1]])],
    ['an instance in a Set', new Set([new Handle()])],
    ['a function in a property', { run: () => {} }],
    ['a symbol in an array', [Symbol('x')]],
    ['a promise', Promise.resolve()],
    ['a WeakMap', new WeakMap()],
    ['a URL', new URL('http://localhost')],
    ['a Buffer, whose clone would be a Uint8Array', Buffer.from('x')],
    ['a proxy', new Proxy({}, {})],
  ]
  for (const [what, value] of uncloneable) {
    it(`an initial value that can't be cloned: ${what}`, t => {
      const { gradio } = harness(t)
      const define = () => gradio.state('model', { value })
      assert.throws(define, isAbout('"model"', '', '', 'VALUE_UNCLONEABLE'))
    })
  }
})

describe('an invalid argument throws in the call', () => {
  it('a state of another instance', async t => {
    const foreign = harness(t).gradio.state('model', { value: 1 })
    const { gradio, user } = harness(t)
    gradio.state('model', { value: 1 })
    const session = await user().session()
    const error = isAbout('"model"', '', '', 'STATE_FOREIGN')
    assert.throws(() => session.get(foreign), error)
    assert.throws(() => session.set(foreign, 2), error)
    assert.throws(() => session.update(foreign, value => value), error)
    assert.throws(() => session.touch(foreign), error)
    assert.throws(() => session.has(foreign), error)
    await assert.rejects(session.delete(foreign), error)
  })

  it('a plain name that is defined with state()', async t => {
    const { gradio, user } = harness(t)
    gradio.state('model', { value: 1 })
    const session = await user().session()
    const error = isAbout('"model"', '', '', 'STATE_DEFINED')
    assert.throws(() => session.get('model'), error)
    assert.throws(() => session.set('model', 2), error)
    assert.throws(() => session.update('model', value => value), error)
    assert.throws(() => session.touch('model'), error)
    assert.throws(() => session.has('model'), error)
    await assert.rejects(session.delete('model'), error)
  })

  it('what is neither a state nor a name', async t => {
    const { user } = harness(t)
    const session = await user().session()
    for (const state of [{ name: 'model' }, 5, null, undefined, '', ['model']]) {
      assert.throws(() => session.get(state as string), isAbout('the '))
      assert.throws(() => session.set(state as string, 1), isAbout('the '))
    }
  })

  it('options for a value that is defined with state()', async t => {
    const { gradio, user } = harness(t)
    const model = gradio.state('model', { value: 1 })
    const session = await user().session()
    const set = session.set as unknown as (...args: unknown[]) => void
    assert.throws(() => set.call(session, model, 2, { timeToLive: 5 }), isAbout('the options of set()'))
    assert.equal(session.has(model), false)
  })

  it('update() without a function', async t => {
    const { user } = harness(t)
    const session = await user().session()
    assert.throws(() => session.update('model', 5 as never), isAbout('update()', '5'))
  })

  const methods: [name: keyof GradioState & string, args: unknown[]][] = [
    ['load', ['x']],
    ['load', []],
    ['unload', [{}]],
    ['ended', [null]],
    ['on', ['error', 'x']],
    ['on', ['errors', () => {}]],
  ]
  for (const [name, args] of methods) {
    it(`${name}(${args.map(String).join(', ')})`, t => {
      const { gradio } = harness(t)
      const method = gradio[name] as (...args: unknown[]) => unknown
      assert.throws(() => method(...args), isAbout(`${name}()`))
    })
  }

  for (const options of [{ timeout: -1 }, { timeout: 'never' }, { timeout: null }, { time: 5 }, null]) {
    it(`close(${JSON.stringify(options)}), which then closes nothing`, async t => {
      const { gradio, user } = harness(t)
      await assert.rejects(gradio.close(options as never), isAbout('close()'))
      await user().session()
    })
  }
})
