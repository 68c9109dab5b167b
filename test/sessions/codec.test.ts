import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { isAbout } from '../support/option-error.ts'
import { JSON_CODEC, shared } from '../support/sessions/shared-state.ts'

describe('the default codec', () => {
  /** Returns a function that returns a value as it is read after it was set. */
  const trip = async (t: TestContext) => {
    const { gradio, session } = shared(t)
    const any = gradio.sharedState<unknown>('any', { maxSize: '50mb' })
    const user = await session()
    return async (value: unknown) => {
      await any.set(user, value)
      return any.get(user)
    }
  }

  it('keeps plain data', async t => {
    const there = await trip(t)
    const anything = fc.anything({
      values: [
        fc.boolean(),
        fc.double(),
        fc.string({ unit: 'binary' }),
        fc.constantFrom(null, undefined, Number.NaN),
        // `assert` treats two invalid dates as unequal.
        fc.date({ noInvalidDate: true }),
      ],
      withBigInt: true,
      withBoxedValues: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
    })
    const special = fc.constantFrom<unknown>(undefined, null, Number.NaN, -0, 0n, /a+/giu)
    const bytes = fc.uint8Array().map(array => Buffer.from(array))
    const view = fc.uint8Array().map(({ buffer }) => new DataView(buffer))
    const buffer = fc.uint8Array().map(({ buffer }) => buffer)
    const value = fc.oneof(anything, special, bytes, view, buffer, fc.array(fc.oneof(anything, bytes)))
    await fc.assert(
      fc.asyncProperty(value, async value => {
        assert.deepStrictEqual(await there(value), value)
      }),
      { numRuns: 500 },
    )
  })

  it('keeps cycles, references to the same object, and an invalid date', async t => {
    const there = await trip(t)
    const twice = new Uint16Array([1, 2])
    const value: { self?: unknown; map: Map<unknown, unknown>; views: unknown[] } = {
      map: new Map(),
      views: [twice, twice],
    }
    value.self = value
    assert.ok(Number.isNaN(Number(await there(new Date(Number.NaN)))))
    value.map.set(value, value.map)
    const read = (await there(value)) as typeof value
    assert.equal(read.self, read)
    assert.equal(read.map.get(read), read.map)
    assert.equal(read.views[0], read.views[1])
  })

  it('writes only the visible part of a view, and gives each view its own memory', async t => {
    const there = await trip(t)
    const pooled = Buffer.from('small')
    const { gradio, session } = shared(t)
    const small = gradio.sharedState<unknown>('small', { maxSize: 100 })
    await small.set(await session(), pooled)

    const part = new Uint32Array([1, 2, 3, 4]).subarray(1, 3)
    const read = (await there([pooled, part, 'x', new Float64Array([0.5])])) as [
      Buffer,
      Uint32Array,
      'x',
      Float64Array,
    ]
    assert.deepEqual(read, [pooled, part, 'x', new Float64Array([0.5])])
    for (const view of [read[0], read[1], read[3]]) {
      assert.deepEqual([view.byteOffset, view.buffer.byteLength], [0, view.byteLength])
    }
  })

  it('accepts deep and long values', async t => {
    const there = await trip(t)
    let deep: unknown[] = []
    for (let depth = 0; depth < 500; depth++) deep = [deep]
    assert.deepEqual(await there(deep), deep)
    const long = Array.from({ length: 100_000 }, (_, index) => ({ index }))
    assert.deepEqual(await there(long), long)
    for (let depth = 0; depth < 1_000_000; depth++) deep = [deep]
    await assert.rejects(there(deep), { code: 'VALUE_UNSERIALIZABLE' })
  })

  class Handle {
    name = 'gpu'
  }
  const refused: [what: string, value: unknown, shown: string][] = [
    ['a function', function run() {}, 'a function (run)'],
    ['a method', { close() {} }, 'a function (close)'],
    ['a symbol', Symbol('mine'), 'Symbol(mine)'],
    ['a symbol in an array', [Symbol('mine')], 'Symbol(mine)'],
    ['a property under a symbol', { [Symbol('mine')]: 1 }, 'Symbol(mine)'],
    ['a property of an array under a symbol', Object.assign([], { [Symbol('mine')]: 1 }), 'Symbol(mine)'],
    ['an object with a disposer', { [Symbol.dispose]() {} }, 'dispose'],
    ['an object with an asynchronous disposer', { a: [{ [Symbol.asyncDispose]() {} }] }, 'asyncDispose'],
    ['a hidden property', Object.defineProperty({}, 'hidden', { value: 1 }), 'hidden'],
    ['a property of a Map', Object.assign(new Map(), { extra: 1 }), 'extra'],
    ['an instance of a class', new Handle(), 'Handle'],
    ['an instance in a property', { a: { b: new Handle() } }, 'Handle'],
    ['an instance in a Map', new Map([['a', new Handle()]]), 'Handle'],
    ['an instance as the key of a Map', new Map([[new Handle(), 1]]), 'Handle'],
    ['an instance in a Set', new Set([new Handle()]), 'Handle'],
    ['an instance of what extends a plain type', new (class Stack extends Array {})(), 'an array'],
    ['a proxy', { inside: new Proxy({}, {}) }, 'a Proxy'],
    ['a Blob', new Blob(['x']), 'Blob'],
    ['a stream', new ReadableStream(), 'ReadableStream'],
    ['a promise', Promise.resolve(), 'Promise'],
    ['a WeakMap', new WeakMap(), 'WeakMap'],
    ['a WeakRef', [new WeakRef({})], 'WeakRef'],
    ['a URL', new URL('http://localhost'), 'URL'],
    ['an Error', new Error('no'), 'Error'],
    ['an AbortSignal', new AbortController().signal, 'AbortSignal'],
    ['a generator', (function* () {})(), 'an object'],
    ['shared memory', new SharedArrayBuffer(1), 'SharedArrayBuffer'],
  ]
  for (const [what, value, shown] of refused) {
    it(`rejects ${what}, and names it`, async t => {
      const { gradio, session } = shared(t)
      const x = gradio.sharedState<unknown>('x')
      const user = await session()
      const error = isAbout('shared state "', shown, 'state()', 'VALUE_UNSERIALIZABLE')
      await assert.rejects(x.set(user, value), error)
      await assert.rejects(
        x.update(user, () => [value]),
        error,
      )
      assert.equal(await x.has(user), false)
      if (typeof value !== 'function') assert.throws(() => gradio.sharedState('y', { value }), error)
      const z = gradio.sharedState('z', { value: () => value })
      await assert.rejects(z.get(user), error)
    })
  }
})

describe('a value that is too large', () => {
  it('is rejected with its size and the limit, and nothing is changed', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState<string>('x', { codec: JSON_CODEC, maxSize: '1kb' })
    const user = await session()
    await x.set(user, 'x'.repeat(1022))
    const error = isAbout('"x"', '1026', '1024 bytes', 'VALUE_TOO_LARGE')
    // In UTF-8, not in characters.
    await assert.rejects(x.set(user, 'ä'.repeat(512)), error)
    await assert.rejects(x.set(user, 'ä'.repeat(512)), { status: 413 })
    await assert.rejects(
      x.update(user, value => `${value}xx`),
      error,
    )
    assert.equal(await x.get(user), 'x'.repeat(1022))
    assert.throws(() => gradio.sharedState('y', { value: 'x', maxSize: 2 }), { code: 'VALUE_TOO_LARGE' })
  })

  it('by default has more than 1 MB of text', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState<string>('x', { codec: { encode: text => text, decode: text => text } })
    const user = await session()
    await x.set(user, 'x'.repeat(1024 * 1024))
    await assert.rejects(x.set(user, 'x'.repeat(1024 * 1024 + 1)), { code: 'VALUE_TOO_LARGE' })
  })
})

describe('a codec of the app', () => {
  it('determines the text', async t => {
    class Point {
      readonly x: number
      constructor(x: number) {
        this.x = x
      }
    }
    const { gradio, session } = shared(t)
    const point = gradio.sharedState('point', {
      value: new Point(1),
      codec: { encode: ({ x }: Point) => String(x), decode: text => new Point(Number(text)) },
    })
    const user = await session()
    assert.deepEqual(await point.update(user, ({ x }) => new Point(x + 1)), new Point(2))
    assert.deepEqual(await point.get(user), new Point(2))
  })

  const failure = new Error('no such thing')
  const failing = () => {
    throw failure
  }

  it('that throws is reported, with the cause', async t => {
    const { gradio, session } = shared(t)
    const encode = gradio.sharedState<number>('encode', { codec: { encode: failing, decode: Number } })
    const decode = gradio.sharedState<number>('decode', { codec: { encode: String, decode: failing } })
    const user = await session()
    await assert.rejects(encode.set(user, 1), error => {
      assert.equal((error as Error).cause, failure)
      return isAbout('"encode"', 'no such thing', '', 'VALUE_UNSERIALIZABLE')(error)
    })
    await decode.set(user, 1)
    const unreadable = (error: unknown) => {
      assert.equal((error as Error).cause, failure)
      return isAbout('"decode"', 'no such thing', '', 'VALUE_UNREADABLE')(error)
    }
    await assert.rejects(decode.get(user), unreadable)
    await assert.rejects(
      decode.update(user, () => 2),
      unreadable,
    )
    // A value that can't be read can still be replaced.
    await decode.set(user, 3)
    assert.equal(await decode.delete(user), true)
  })

  for (const text of [undefined, 5, Buffer.from('x'), Promise.resolve('x')]) {
    it(`that does not return a string is reported: ${typeof text}`, async t => {
      const { gradio, session } = shared(t)
      const codec = { encode: () => text as unknown as string, decode: JSON.parse }
      const x = gradio.sharedState<number>('x', { codec })
      const user = await session()
      await assert.rejects(x.set(user, 1), isAbout('"x"', 'instead of a string', '', 'VALUE_UNSERIALIZABLE'))
      assert.throws(() => gradio.sharedState('y', { codec, value: 1 }), { code: 'VALUE_UNSERIALIZABLE' })
    })
  }
})
