import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SharedState } from '../../lib/index.ts'
import { clusterOfOne } from '../support/cluster/places.ts'
import { isAbout } from '../support/option-error.ts'
import { deferred } from '../support/sessions/harness.ts'
import { shared } from '../support/sessions/shared-state.ts'

describe('a shared delete callback', () => {
  it('is called when the value was removed, and is identified by its key', async t => {
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

  it('that sets the value again creates a new one, with its own callback', async t => {
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

  it('that updates the same value does not deadlock', async t => {
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

  it('is awaited by delete() and by the end, until the time limit', async t => {
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

  it('that throws is reported and does not affect others', async t => {
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

  it('runs concurrently with those of other values of an ending session, up to a limit', async t => {
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

  it('of a definition that this process lacks is reported, and the value is deleted', async t => {
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

  it('of an unreadable text is reported, and the value is deleted', async t => {
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
