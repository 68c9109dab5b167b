import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import fc from 'fast-check'
import type {
  DeleteEvent,
  GradioStateOptions,
  SessionState,
  SharedState,
  SharedStateOptions,
  State,
} from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { MemoryCoordinator } from '../support/cluster/memory-coordinator.ts'
import { type ClusterOfOne, clusterOfOne, type Place } from '../support/cluster/places.ts'
import { site } from '../support/http/express.ts'
import { isAbout } from '../support/option-error.ts'
import { deferred, harness } from '../support/sessions/harness.ts'

/** Where values are. */
const PLACES: Record<string, () => Place & Partial<ClusterOfOne>> = {
  'in one process': () => ({ clock: fakeClock() }),
  'in a cluster': clusterOfOne,
}

/** An instance; in a cluster, with what another node does. */
function shared(
  t: TestContext,
  makePlace: () => Place & Partial<ClusterOfOne> = PLACES['in one process'] as () => Place,
  options: GradioStateOptions = {},
) {
  const { clock, cluster, all, coordinator } = makePlace()
  const made = harness(t, { ...(cluster && { cluster }), ...options }, clock)
  const log: string[] = []
  const deleteCallback = (value: unknown, { reason, name }: DeleteEvent) => {
    log.push(`${name} ${JSON.stringify(value)} ${reason}`)
  }
  const session = async (name?: string) => {
    const request = await made.user(name).begin()
    await request.state.establish()
    const { id } = request.state
    request.end()
    await made.clock.advance(0)
    return made.gradio.session(id) as SessionState
  }
  /** Writes as another node does. */
  const elsewhere = (id: string, name: string, data: string) => {
    const found = [...(all?.sessions.values() ?? [])].find(session => session.id === id)
    assert.ok(all !== undefined && found !== undefined)
    const { values } = new MemoryCoordinator(all)
    void values.write(found.token, id, name, data, { timeToLive: Number.POSITIVE_INFINITY })
  }
  return { ...made, session, log, deleteCallback, elsewhere, coordinator }
}

/** Readable in tests. */
const JSON_CODEC = { encode: JSON.stringify, decode: JSON.parse }

for (const [kind, place] of Object.entries(PLACES)) {
  describe(`${kind}, a shared value`, () => {
    it('is set, read, updated, touched and deleted', async t => {
      const { gradio, session } = shared(t, place)
      const count = gradio.sharedState<number>('count')
      const user = await session()
      assert.equal(await count.get(user), undefined)
      assert.equal(await count.has(user), false)
      assert.equal(await count.touch(user), false)
      assert.equal(await count.delete(user), false)
      assert.equal(await count.set(user, 1), undefined)
      assert.equal(await count.get(user), 1)
      assert.equal(await count.update(user, value => Number(value) + 1), undefined)
      assert.equal(await count.get(user), 2)
      assert.equal(await count.has(user), true)
      assert.equal(await count.touch(user), true)
      assert.equal(await count.delete(user), true)
      assert.equal(await count.get(user), undefined)
    })

    it('is one for each session', async t => {
      const { gradio, session } = shared(t, place)
      const count = gradio.sharedState('count', { value: 0 })
      const [ann, bob] = [await session('ann'), await session('bob')]
      await count.set(ann, 5)
      assert.deepEqual([await count.get(ann), await count.get(bob)], [5, 0])
    })

    it('loses none of 1,000 updates at once', async t => {
      const { gradio, session } = shared(t, place)
      const count = gradio.sharedState('count', { value: 0 })
      const user = await session()
      let calls = 0
      const add = (value: number) => {
        calls++
        return value + 1
      }
      await Promise.all(Array.from({ length: 1000 }, () => count.update(user, add)))
      assert.equal(await count.get(user), 1000)
      assert.equal(calls, 1000, 'they wait for each other instead of failing')
    })

    it('is begun by a request without establish(), at its first use', async t => {
      const { gradio, user } = shared(t, place)
      const count = gradio.sharedState('count', { value: 7 })
      const first = await user().begin()
      // All at once, as in Promise.all: one session.
      const { state } = first
      assert.deepEqual(await Promise.all([count.get(state), count.get(state), count.get(state)]), [7, 7, 7])
      await count.set(first.state, 8)
      assert.equal(gradio.stats().sessions, 1)
      first.end()
      assert.equal(await user().request(state => count.get(state)), 8)
      assert.equal(gradio.stats().sessions, 1)
    })

    it('without an initial one begins no session by being read, touched or deleted', async t => {
      const { gradio, user } = shared(t, place)
      const maybe = gradio.sharedState<number>('maybe')
      await user().request(async state => {
        assert.equal(await maybe.get(state), undefined)
        assert.equal(await maybe.has(state), false)
        assert.equal(await maybe.touch(state), false)
        assert.equal(await maybe.delete(state), false)
      })
      assert.equal(gradio.stats().sessions, 0)
    })

    it('that is refused begins none either', async t => {
      const { gradio, user } = shared(t, place)
      const any = gradio.sharedState<unknown>('any')
      await user().request(async state => {
        await assert.rejects(
          any.set(state, () => {}),
          { code: 'VALUE_UNSERIALIZABLE' },
        )
      })
      assert.equal(gradio.stats().sessions, 0)
    })

    it('tells its callback, whichever way it leaves, once', async t => {
      const { gradio, session, clock, log, deleteCallback } = shared(t, place, { maxSessions: 50 })
      const options = { timeToLive: 10, deleteCallback, deleteReplaced: true }
      const x = gradio.sharedState('x', { ...options, value: 0 })
      const y = gradio.sharedState<string>('y', { deleteCallback })
      const silent = gradio.sharedState('silent', { value: 'nobody is told' })

      const deletions = async (how: string, leave: (user: SessionState) => unknown) => {
        const user = await session(how)
        await x.get(user)
        await y.set(user, 'y')
        await silent.get(user)
        await leave(user)
        for (let turns = 0; turns < 10; turns++) await clock.advance(0)
        const seen = log.splice(0)
        await user.end()
        log.length = 0
        return seen.sort()
      }
      const both = (reason: string) => [`x 0 ${reason}`, `y "y" ${reason}`]

      assert.deepEqual(await deletions('time to live', () => clock.advance(10)), ['x 0 timeToLive'])
      assert.deepEqual(await deletions('delete', user => x.delete(user)), ['x 0 deleted'])
      assert.deepEqual(await deletions('set', user => x.set(user, 1)), ['x 0 replaced'])
      assert.deepEqual(await deletions('update', user => x.update(user, value => value - 1)), [
        'x 0 replaced',
      ])
      assert.deepEqual(await deletions('set without deleteReplaced', user => y.set(user, 'z')), [])
      assert.deepEqual(await deletions('end', user => user.end()), both('ended'))
      const disconnected = await deletions('grace period', () => clock.advance('61m'))
      assert.deepEqual(disconnected, ['x 0 timeToLive', 'y "y" disconnected'])
      const evicted = await deletions('eviction', async () => {
        for (let index = 0; index < 50; index++) await session(`other ${index}`)
      })
      assert.deepEqual(evicted, both('evicted'))
      const shutdown = await deletions('shutdown', async () => {
        const closed = gradio.close()
        await clock.advance(1)
        await closed
      })
      // In a cluster the others go on with them.
      assert.deepEqual(shutdown, kind === 'in a cluster' ? [] : both('shutdown'))
    })

    it('begins with the initial value once, whoever asks first', async t => {
      const { gradio, session } = shared(t, place)
      let made = 0
      const x = gradio.sharedState('x', { value: () => ({ serial: ++made }) })
      const user = await session()
      const read = await Promise.all(Array.from({ length: 20 }, () => x.get(user)))
      assert.deepEqual(new Set(read.map(value => value.serial)), new Set([1]))
      assert.equal(made, 1)
      assert.notEqual(read[0], read[1])
    })

    if (kind === 'in a cluster') {
      it('that another node has begun meanwhile is that of the other node', async t => {
        const { gradio, session, elsewhere } = shared(t, place)
        const user = await session()
        const x = gradio.sharedState('x', {
          codec: JSON_CODEC,
          value: () => {
            elsewhere(user.id, 'x', '"theirs"')
            return 'ours'
          },
        })
        assert.equal(await x.get(user), 'theirs')
      })
    }

    if (kind === 'in a cluster') {
      it('that another node has changed meanwhile is updated again, from there', async t => {
        const { gradio, session, elsewhere } = shared(t, place)
        const list = gradio.sharedState<string[]>('list', { codec: JSON_CODEC, value: [] })
        const user = await session()
        await list.set(user, ['first'])
        const seen: string[][] = []
        await list.update(user, value => {
          if (seen.push(value) === 1) elsewhere(user.id, 'list', '["theirs"]')
          return [...value, 'ours']
        })
        assert.deepEqual(seen, [['first'], ['theirs']])
        assert.deepEqual(await list.get(user), ['theirs', 'ours'])
      })
    }

    it('of a session that has ended rejects SESSION_ENDED', async t => {
      const { gradio, session, user } = shared(t, place)
      const x = gradio.sharedState('x', { value: 0 })
      const ended = await session()
      const request = await user().begin()
      await x.set(request.state, 1)
      await ended.end()
      for (const state of [ended, request.state]) {
        const calls = [
          () => x.get(state),
          () => x.set(state, 1),
          () => x.update(state, value => value),
          () => x.touch(state),
          () => x.has(state),
          () => x.delete(state),
        ]
        for (const call of calls) await assert.rejects(call(), { code: 'SESSION_ENDED', status: 410 })
      }
      request.end()
    })

    it('after close() rejects CLOSED', async t => {
      const { gradio, user, clock } = shared(t, place)
      const x = gradio.sharedState('x', { value: 0 })
      const requests = [await user('one').begin(), await user('other').begin()]
      await x.get(requests[0]!.state)
      const closed = gradio.close()
      await clock.advance(1)
      await closed
      for (const { state, end } of requests) {
        for (const call of [() => x.get(state), () => x.set(state, 1), () => x.update(state, v => v)]) {
          await assert.rejects(call(), { code: 'CLOSED', status: 503 })
        }
        end()
      }
    })

    it('is seen by hooks as long as it is there, and in `ended` hooks as it was at the end', async t => {
      const { gradio, session, clock } = shared(t, place)
      const seen: unknown[] = []
      const x = gradio.sharedState('x', {
        value: 0,
        deleteCallback: async (value, { session }) => {
          seen.push(['deleted', value, await x.get(session), await never.get(session)])
        },
      })
      const never = gradio.sharedState('never made', { value: 'initial' })
      for (const name of ['load', 'unload', 'ended'] as const) {
        gradio[name](async ({ session }: { session: DeleteEvent['session'] }) => {
          seen.push([name, await x.get(session), await never.get(session)])
        })
      }
      const user = await session()
      await x.set(user, 5)
      await clock.advance(5)
      await x.set(gradio.session(user.id)!, 6)
      await user.end()
      assert.deepEqual(seen, [
        ['load', undefined, undefined],
        ['unload', 5, undefined],
        ['deleted', 6, undefined, undefined],
        ['ended', 6, undefined],
      ])
    })

    it('waits at a first use for unload hooks that run, as other uses do', async t => {
      const { gradio, user, clock } = shared(t, place)
      const { promise, resolve } = deferred()
      const x = gradio.sharedState('x', { value: 0 })
      gradio.unload(() => promise)
      const early = await user().begin()
      await user().request(state => x.set(state, 1))
      await clock.advance(3)
      const read: number[] = []
      void x.get(early.state).then(value => read.push(value))
      await clock.advance(1)
      assert.equal(read.length, 0)
      resolve()
      await clock.advance(1)
      assert.deepEqual(read, [1])
      early.end()
    })

    it('is nothing to who asks at the moment of the end', async t => {
      const { gradio, session } = shared(t, place)
      const x = gradio.sharedState('x', { value: 0 })
      let view: DeleteEvent['session'] | undefined
      gradio.load(event => {
        view = event.session
      })
      const user = await session()
      await x.set(user, 5)
      const asked = new Promise(resolve => {
        user.signal.addEventListener('abort', () => resolve(x.get(view!)))
      })
      await user.end()
      assert.ok([5, undefined].includes((await asked) as number))
    })

    it('is seen by the unload hooks of an end', async t => {
      const { gradio, session } = shared(t, place)
      const x = gradio.sharedState('x', { value: 0 })
      const seen: unknown[] = []
      gradio.unload(async ({ session, reason }) => seen.push(reason, await x.get(session)))
      const user = await session()
      await x.set(user, 5)
      await user.end()
      assert.deepEqual(seen, ['ended', 5])
    })
  })
}

describe('what is read', () => {
  it('is a copy each time', async t => {
    const { gradio, session } = shared(t)
    const original = { list: [1] }
    const x = gradio.sharedState('x', { value: original })
    const user = await session()
    original.list.push(2)
    const read = await x.get(user)
    assert.deepEqual(read, { list: [1] })
    read.list.push(3)
    assert.deepEqual(await x.get(user), { list: [1] })
    await x.set(user, read)
    read.list.push(4)
    assert.deepEqual(await x.get(user), { list: [1, 3] })
  })

  it('is what was set at the time of the call', async t => {
    const { gradio, user } = shared(t, clusterOfOne)
    const x = gradio.sharedState<number[]>('x')
    await user().request(async state => {
      const list = [1]
      const done = x.set(state, list)
      list.push(2)
      await done
      assert.deepEqual(await x.get(state), [1])
    })
  })
})

describe('the same text again', () => {
  it('replaces nothing, and restarts the time to live', async t => {
    const { gradio, session, clock, log, deleteCallback } = shared(t)
    const x = gradio.sharedState('x', {
      value: { a: 1 },
      timeToLive: 10,
      deleteReplaced: true,
      deleteCallback,
    })
    const user = await session()
    await x.get(user)
    await clock.advance(8)
    await x.set(user, { a: 1 })
    await x.update(user, value => value)
    await clock.advance(8)
    assert.deepEqual([log, await x.has(user)], [[], true])
    await clock.advance(2)
    assert.deepEqual([log, await x.has(user)], [['x {"a":1} timeToLive'], false])
  })
})

describe('a shared delete callback', () => {
  it('is called when the value is gone, and is identified by its key', async t => {
    const { gradio, session } = shared(t)
    const keys: string[] = []
    const seen: unknown[] = []
    const x: SharedState<number> = gradio.sharedState<number>('x', {
      value: 1,
      deleteCallback: async (value, { reason, name, key, session, signal }) => {
        keys.push(key)
        seen.push([value, reason, name, session.id, signal.aborted, await x.has(gradio.session(session.id)!)])
      },
    })
    const user = await session()
    for (let index = 0; index < 2; index++) {
      await x.get(user)
      await x.delete(user)
    }
    assert.deepEqual(seen, Array(2).fill([1, 'deleted', 'x', user.id, false, false]))
    assert.match(keys[0] ?? '', new RegExp(`^${user.id}:shared:\\d+:x$`))
    assert.equal(new Set(keys).size, 2)
  })

  it('that sets the value again makes a new one, with a callback of its own', async t => {
    const { gradio, session, clock } = shared(t)
    const seen: unknown[] = []
    const x: SharedState<number> = gradio.sharedState<number>('x', {
      value: 1,
      timeToLive: 10,
      deleteReplaced: true,
      deleteCallback: async (value, { reason, session }) => {
        seen.push([value, reason])
        if (value < 3) await x.set(gradio.session(session.id)!, value + 1)
      },
    })
    const user = await session()
    await x.get(user)
    await clock.advance(10)
    assert.deepEqual(seen, [[1, 'timeToLive']])
    assert.equal(await x.get(user), 2)
    await x.delete(user)
    assert.equal(await x.get(user), 3)
    await user.end()
    assert.deepEqual(seen, [
      [1, 'timeToLive'],
      [2, 'deleted'],
      [3, 'ended'],
    ])
  })

  it('that updates the same value does not wait for itself', async t => {
    const { gradio, session, clock } = shared(t)
    const x: SharedState<number> = gradio.sharedState<number>('x', {
      value: 1,
      deleteReplaced: true,
      deleteCallback: async (value, { session }) => {
        if (value === 1) await x.update(gradio.session(session.id)!, value => value * 10)
      },
    })
    const user = await session()
    await x.get(user)
    await x.update(user, value => value + 1)
    await clock.advance(0)
    assert.equal(await x.get(user), 20)
  })

  it('is waited for by delete(), by the end, and no longer than the time limit', async t => {
    const { gradio, session, clock, errors } = shared(t)
    const { promise, resolve } = deferred()
    const done: string[] = []
    const note = (what: string) => done.push(what)
    const x = gradio.sharedState('x', { value: 1, timeToLive: 5, deleteCallback: () => promise })
    const hangs = gradio.sharedState('hangs', {
      value: 1,
      deleteCallback: () => new Promise<never>(() => {}),
    })
    gradio.ended(() => note('ended'))
    const user = await session()
    await x.get(user)
    void x.delete(user).then(() => note('delete()'))
    await clock.advance(4)
    assert.deepEqual(done, [])
    void user.end()
    await clock.advance(0.5)
    assert.deepEqual(done, [])
    resolve()
    await clock.advance(0)
    assert.deepEqual(done.sort(), ['delete()', 'ended'])

    const other = await session('other')
    await hangs.get(other)
    void hangs.delete(other).then(() => note('given up'))
    await clock.advance(5)
    assert.equal(done.at(-1), 'given up')
    const [{ error, context }] = errors.splice(0) as [(typeof errors)[0]]
    assert.equal((error as { code: string }).code, 'HOOK_TIMEOUT')
    assert.deepEqual(context, { source: 'deleteCallback', session: other.id, name: 'hangs' })
  })

  it('that throws is reported and stops nothing', async t => {
    const { gradio, session, errors } = shared(t)
    const failure = new Error('no')
    const deleteCallback = () => {
      throw failure
    }
    const states = ['a', 'b'].map(name => gradio.sharedState(name, { value: 1, deleteCallback }))
    const user = await session()
    for (const state of states) await state.get(user)
    await user.end()
    assert.deepEqual(
      errors.splice(0).map(({ error, context }) => [error, context.name]),
      [
        [failure, 'a'],
        [failure, 'b'],
      ],
    )
  })

  it('runs beside those of other values of a session that ends, not all at once', async t => {
    const { gradio, session, clock } = shared(t)
    let running = 0
    let most = 0
    const { promise, resolve } = deferred()
    const deleteCallback = async () => {
      most = Math.max(most, ++running)
      await promise
      running--
    }
    const user = await session()
    for (let index = 0; index < 40; index++) {
      await gradio.sharedState(`v${index}`, { value: index, deleteCallback }).get(user)
    }
    const ended = user.end()
    await clock.advance(0)
    resolve()
    await ended
    assert.equal(most, 16)
    assert.equal(running, 0)
  })

  it('of a definition that this process lacks is reported, and the value is gone', async t => {
    const { gradio, session, errors, elsewhere, clock } = shared(t, clusterOfOne)
    gradio.state('local', { value: 1 })
    const user = await session()
    for (const name of ['nowhere', 'local']) elsewhere(user.id, name, 'text')
    await user.end()
    await clock.advance(0)
    const reported = errors.splice(0)
    for (const [index, name] of ['nowhere', 'local'].entries()) {
      isAbout(JSON.stringify(name), '', '', 'STATE_UNKNOWN')(reported[index]?.error)
      assert.deepEqual(reported[index]?.context, { source: 'deleteCallback', session: user.id, name })
    }
    assert.deepEqual([reported.length, gradio.stats().ending], [2, 0])
  })

  it('of a text that can not be read is reported, and the value is gone', async t => {
    const { gradio, session, errors, elsewhere, clock } = shared(t, clusterOfOne)
    let calls = 0
    const x = gradio.sharedState('x', { value: 1, deleteCallback: () => calls++ })
    const user = await session()
    for (const leave of [() => x.delete(user), () => user.end()]) {
      elsewhere(user.id, 'x', 'no such text')
      await leave()
      await clock.advance(0)
      const [reported, ...more] = errors.splice(0)
      isAbout('"x"', '', '', 'VALUE_UNREADABLE')(reported?.error)
      assert.deepEqual([more, calls], [[], 0])
    }
  })
})

describe('the default codec', () => {
  /** Returns a function that gives a value as it is read after it was set. */
  const trip = async (t: TestContext) => {
    const { gradio, session } = shared(t)
    const any = gradio.sharedState<unknown>('any', { maxSize: '50mb' })
    const user = await session()
    return async (value: unknown) => {
      await any.set(user, value)
      return any.get(user)
    }
  }

  it('keeps whatever is plain data', async t => {
    const there = await trip(t)
    const anything = fc.anything({
      values: [
        fc.boolean(),
        fc.double(),
        fc.string({ unit: 'binary' }),
        fc.constantFrom(null, undefined, Number.NaN),
        // Two invalid ones are unequal to `assert`.
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

  it('keeps cycles, what is there twice as one, and an invalid date', async t => {
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

  it('writes of a view only what it shows, and gives each memory of its own', async t => {
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

  it('takes what is deep and what is long', async t => {
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
    it(`refuses ${what}, and names it`, async t => {
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
  it('is refused with its size and the limit, and nothing is changed', async t => {
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
  it('decides what the text is', async t => {
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
    await point.update(user, ({ x }) => new Point(x + 1))
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
    // Where it doesn't have to be read, it can still be replaced.
    await decode.set(user, 3)
    assert.equal(await decode.delete(user), true)
  })

  for (const text of [undefined, 5, Buffer.from('x'), Promise.resolve('x')]) {
    it(`that gives no string is reported: ${typeof text}`, async t => {
      const { gradio, session } = shared(t)
      const codec = { encode: () => text as unknown as string, decode: JSON.parse }
      const x = gradio.sharedState<number>('x', { codec })
      const user = await session()
      await assert.rejects(x.set(user, 1), isAbout('"x"', 'instead of a string', '', 'VALUE_UNSERIALIZABLE'))
      assert.throws(() => gradio.sharedState('y', { codec, value: 1 }), { code: 'VALUE_UNSERIALIZABLE' })
    })
  }
})

describe('sharedState() throws for a wrong definition', () => {
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
      // What was refused is not defined.
      gradio.sharedState('model', {})
    })
  }

  it('a misspelt option, options that are none, a name that is none', t => {
    const { gradio } = shared(t)
    const misspelt = { maxsize: 5 } as SharedStateOptions<unknown>
    assert.throws(() => gradio.sharedState('model', misspelt), isAbout('maxSize', '"maxsize"'))
    assert.throws(() => gradio.sharedState('model', null as never), isAbout('the options'))
    assert.throws(() => gradio.sharedState(''), isAbout('the name'))
  })

  it('a name that is defined, of either kind', t => {
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

describe('a wrong argument', () => {
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

  it('is a shared state of another instance; the request begins no session for it', async t => {
    const foreign = shared(t).gradio.sharedState('x', { value: 1 })
    const { gradio, user } = shared(t)
    const error = isAbout('"x"', '', '', 'STATE_FOREIGN')
    await user().request(async state => {
      await assert.rejects(foreign.get(state), error)
      await assert.rejects(foreign.set(state, 1), error)
    })
    assert.equal(gradio.stats().sessions, 0)
  })

  it('is a shared state, given to a method of the session', async t => {
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

  it('is no session', async t => {
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

  it('is the session of an event, for what writes', async t => {
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

  it('is options for set(), and no function for update()', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState('x', { value: 1 })
    const user = await session()
    const set = x.set as unknown as (...args: unknown[]) => Promise<void>
    await assert.rejects(set.call(x, user, 2, { timeToLive: 5 }), isAbout('the options of set()'))
    await assert.rejects(x.update(user, 5 as never), isAbout('update()', '5'))
    assert.equal(await x.has(user), false)
  })

  it('is a function of update() that gives a promise', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState<unknown>('x', { value: 1 })
    const user = await session()
    const change = async () => {
      throw new Error('nobody catches this one')
    }
    await assert.rejects(x.update(user, change), TypeError)
    const failed = x.update(user, failing)
    // It stops nobody who waits.
    const waits = x.update(user, value => Number(value) + 1)
    await assert.rejects(failed, { message: 'told' })
    await waits
    assert.equal(await x.get(user), 2)
  })
  const failing = () => {
    throw new Error('told')
  }

  it('is a function for the initial value that gives a promise', async t => {
    const { gradio, session } = shared(t)
    const x = gradio.sharedState<unknown>('x', {
      value: () => Promise.reject(new Error('not caught either')),
    })
    const user = await session()
    await assert.rejects(x.get(user), isAbout('"x"', 'Promise', '', 'VALUE_UNSERIALIZABLE'))
  })
})

describe('a cluster that fails', () => {
  it('to read or write rejects for the caller; what follows is not held up', async t => {
    const failure = new Error('away')
    let isAway = false
    const { gradio, session, coordinator } = shared(t, clusterOfOne)
    const { values } = coordinator as MemoryCoordinator
    const read = values.read.bind(values)
    values.read = async (...asked) => {
      if (isAway) throw failure
      return read(...asked)
    }
    const x = gradio.sharedState('x', { value: 1 })
    const user = await session()
    isAway = true
    await assert.rejects(x.get(user), failure)
    await assert.rejects(
      x.update(user, value => value),
      failure,
    )
    isAway = false
    await x.update(user, value => value + 1)
    assert.equal(await x.get(user), 2)
  })
})

describe('in an answer', () => {
  const optionsOf = ({ clock, cluster }: Place) => ({ clock, ...(cluster && { cluster }) })
  const routes =
    (use: (x: SharedState<number>, state: SessionState) => Promise<unknown>) =>
    (app: express.Express, gradio: ReturnType<typeof import('../../lib/index.ts').gradioState>) => {
      const x = gradio.sharedState('x', { value: 0 })
      app.get('/', async (req, res) => {
        res.send(String(await use(x, req.gradioState)))
      })
      app.get('/late', async (req, res) => {
        res.flushHeaders()
        res.end(await x.set(req.gradioState, 1).then(String, error => error.code))
      })
    }

  for (const [kind, place] of Object.entries(PLACES)) {
    for (const session of [false, {}] as const) {
      const means = session === false ? 'the own cookie' : 'express-session'
      it(`the first use brings the browser its session: ${means}, ${kind}`, async t => {
        const { visitor, gradio } = await site(t, express, {
          session,
          options: optionsOf(place()),
          routes: routes(async (x, state) => {
            await x.update(state, value => value + 1)
            return x.get(state)
          }),
        })
        const user = visitor()
        const read = async () => (await user.fetch('/')).text()
        assert.deepEqual([await read(), await read(), await read()], ['1', '2', '3'])
        assert.equal(gradio.stats().sessions, 1)
        // A browser that came late would never learn of it.
        assert.equal(await (await visitor().fetch('/late')).text(), 'HEADERS_SENT')
        assert.equal(gradio.stats().sessions, 1)
      })
    }
  }
})
