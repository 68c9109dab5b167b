import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import express from 'express'
import type { DeleteEvent, SessionState, SharedState } from '../../lib/index.ts'
import type { MemoryCoordinator } from '../support/cluster/memory-coordinator.ts'
import { clusterOfOne, type Place } from '../support/cluster/places.ts'
import { site } from '../support/http/express.ts'
import { deferred } from '../support/sessions/harness.ts'
import { JSON_CODEC, PLACES, shared } from '../support/sessions/shared-state.ts'

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
      assert.equal(await count.update(user, value => Number(value) + 1), 2)
      assert.equal(await count.get(user), 2)
      assert.equal(await count.has(user), true)
      assert.equal(await count.touch(user), true)
      assert.equal(await count.delete(user), true)
      assert.equal(await count.get(user), undefined)
    })

    it('is separate in each session', async t => {
      const { gradio, session } = shared(t, place)
      const count = gradio.sharedState('count', { value: 0 })
      const [ann, bob] = [await session('ann'), await session('bob')]
      await count.set(ann, 5)
      assert.deepEqual([await count.get(ann), await count.get(bob)], [5, 0])
    })

    it('loses none of 1,000 concurrent updates', async t => {
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

    it('is started by a request without establish(), at its first use', async t => {
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

    it('without an initial one starts no session when it is read, touched or deleted', async t => {
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

    it('that is rejected starts none either', async t => {
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

    it('runs its callback once, for whatever reason it is deleted', async t => {
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
      // In a cluster the other nodes keep them.
      assert.deepEqual(shutdown, kind === 'in a cluster' ? [] : both('shutdown'))
    })

    it('starts with the initial value once, whichever call is first', async t => {
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
      it('that another node has created meanwhile is that of the other node', async t => {
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
      it('that another node has changed meanwhile is updated again, from its new value', async t => {
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

    it('can be read by hooks while it exists, and in `ended` hooks with its final value', async t => {
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

    it('waits at a first use for running unload hooks, like other uses', async t => {
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

    it('is undefined for a read at the moment of the end', async t => {
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

    it('can be read by the unload hooks of an end', async t => {
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

describe('a read value', () => {
  it('is a new copy each time', async t => {
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

  it('a value is encoded at the time of the call', async t => {
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

describe('an identical text', () => {
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

describe('a cluster that fails', () => {
  it("makes the caller's read or write reject; later calls are not blocked", async t => {
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

describe('during a response', () => {
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
      it(`the first use gives the browser its session: ${means}, ${kind}`, async t => {
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
        // A browser that received it later would never find it.
        assert.equal(await (await visitor().fetch('/late')).text(), 'HEADERS_SENT')
        assert.equal(gradio.stats().sessions, 1)
      })
    }
  }
})
