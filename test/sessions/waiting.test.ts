import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { HookEvent } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { clusterOfOne, type Place } from '../support/cluster/places.ts'
import { deferred, harness, RECONNECT } from '../support/sessions/harness.ts'

const unloadDelay = 2

describe('a hook or callback may end its own session and await that', () => {
  for (const name of ['load', 'unload', 'ended'] as const) {
    it(`in a ${name} hook`, async t => {
      const { gradio, clock, user } = harness(t)
      const log: string[] = []
      gradio[name](async ({ session }: HookEvent) => {
        await null
        log.push(`${name}: ${await gradio.endSession(session.id)}`)
      })
      gradio.ended(() => log.push('ended'))
      const session = await user().session()
      if (name === 'unload') await clock.advance(unloadDelay)
      else if (name === 'ended') await session.end()
      // No time passes: nothing waits for a time limit.
      for (let turns = 0; turns < 5; turns++) await clock.advance(0)
      assert.deepEqual(log.sort(), ['ended', `${name}: ${name !== 'ended'}`])
      assert.equal(gradio.stats().ending, 0)
    })
  }

  for (const [how, go] of Object.entries({
    deleted: (session: Session) => session.delete('x'),
    replaced: (session: Session) => session.set('x', 2, {}),
    timeToLive: () => {},
    ended: (session: Session) => session.end(),
  })) {
    it(`in a delete callback: ${how}`, async t => {
      const { gradio, clock, user } = harness(t)
      const log: string[] = []
      gradio.ended(() => log.push('ended'))
      const session = await user().session()
      session.set('x', 1, {
        timeToLive: 1,
        deleteReplaced: true,
        deleteCallback: async (_value, { reason }) => {
          await null
          await session.end().catch(() => {})
          await gradio.endSession(session.id)
          log.push(reason)
        },
      })
      const gone = go(session)
      await clock.advance(how === 'timeToLive' ? 1 : 0.5)
      await gone
      for (let turns = 0; turns < 5; turns++) await clock.advance(0)
      assert.deepEqual(log, [how, 'ended'])
    })
  }

  it("in hooks that end each other's sessions", async t => {
    const { gradio, clock, user, errors } = harness(t)
    const ids: string[] = []
    gradio.ended(async ({ session }) => {
      for (const id of ids) if (id !== session.id) await gradio.endSession(id)
    })
    ids.push((await user('one').session()).id, (await user('two').session()).id)
    const ended = gradio.endSession(ids[0] as string)
    for (let turns = 0; turns < 10; turns++) await clock.advance(0)
    await ended
    assert.deepEqual(errors, [])
    assert.equal(gradio.stats().ended.ended, 2)
  })

  it('while work that a finished hook has started waits for the end like any other caller', async t => {
    const { gradio, clock, user } = harness(t)
    const log: string[] = []
    const { promise, resolve } = deferred()
    gradio.load(({ session }) => {
      void (async () => {
        await promise
        await gradio.endSession(session.id)
        log.push('after the end')
      })()
    })
    gradio.ended(async () => {
      await new Promise(setImmediate)
      log.push('ended')
    })
    await user().session()
    await clock.advance(0)
    resolve()
    for (let turns = 0; turns < 5; turns++) await clock.advance(0)
    assert.deepEqual(log, ['ended', 'after the end'])
  })

  it('in the signal of a user who has left', async t => {
    const { gradio, clock, user } = harness(t)
    const session = await user().session()
    const ended: Promise<boolean>[] = []
    session.signal.addEventListener('abort', () => ended.push(gradio.endSession(session.id)))
    await clock.advance(unloadDelay)
    assert.deepEqual(await Promise.all(ended), [true])
  })
})

it('listeners of the signal of a session may end the session again', async t => {
  const { gradio, clock, user } = harness(t)
  let ends = 0
  gradio.ended(() => ends++)
  const session = await user().session()
  session.signal.addEventListener('abort', () => void session.end())
  await session.end()
  await clock.advance(0)
  assert.equal(ends, 1)
  assert.equal(gradio.stats().ended.ended, 1)
})

describe('an entry while unload hooks run', () => {
  it('waits for them, and then the session is loaded', async t => {
    const { gradio, clock, user } = harness(t)
    const log: string[] = []
    const { promise, resolve } = deferred()
    gradio.load(() => log.push('load'))
    gradio.unload(async () => {
      log.push('unload')
      await promise
      log.push('unloaded')
    })
    const connection = await user().connect()
    connection.close()
    await clock.advance(unloadDelay + RECONNECT)
    const request = user()
      .begin()
      .then(request => {
        log.push('request')
        return request
      })
    const connecting = user().connect()
    await clock.advance(1)
    assert.deepEqual(log, ['load', 'unload'])
    assert.equal(gradio.stats().loaded, 0)
    resolve()
    const { state } = await request
    await connecting
    assert.deepEqual(log, ['load', 'unload', 'unloaded', 'load', 'request'])
    assert.equal(state.signal.aborted, false)
    assert.equal(gradio.stats().loaded, 1)
  })

  it('waits for at most one time limit, however many hooks hang', async t => {
    const { gradio, clock, user, errors } = harness(t, { hookTimeout: 3 })
    let loads = 0
    gradio.load(() => loads++)
    for (let index = 0; index < 40; index++) gradio.unload(() => new Promise(() => {}))
    await user().session()
    await clock.advance(unloadDelay)
    let hasArrived = false
    const arriving = user()
      .begin()
      .then(request => {
        hasArrived = true
        return request
      })
    await clock.advance(2.9)
    assert.equal(hasArrived, false)
    await clock.advance(0.1)
    const { state, end } = await arriving
    assert.equal(state.get('x'), undefined)
    assert.equal(loads, 1)
    // The hooks run in groups; then the session is loaded, since the user is still present.
    await clock.advance(6)
    assert.equal(loads, 2)
    assert.equal(gradio.stats().loaded, 1)
    end()
    assert.equal(errors.splice(0).length, 40)
  })

  it('that leaves before they have run has not loaded the session', async t => {
    const { gradio, clock, user } = harness(t)
    const log: string[] = []
    const { promise, resolve } = deferred()
    gradio.load(() => log.push('load'))
    gradio.unload(() => {
      log.push('unload')
      return promise
    })
    gradio.ended(() => log.push('ended'))
    await user().session()
    await clock.advance(unloadDelay)
    const connecting = user().connect()
    await clock.advance(1)
    resolve()
    const connection = await connecting
    connection.close()
    await clock.advance('2h')
    assert.deepEqual(log, ['load', 'unload', 'load', 'unload', 'ended'])
  })

  it('prevents the end of the session, which becomes due meanwhile', async t => {
    const { gradio, clock, user } = harness(t, { gracePeriod: 3, hookTimeout: 10 })
    const { promise, resolve } = deferred()
    gradio.unload(() => promise)
    const session = await user().session()
    session.set('x', 1)
    await clock.advance(unloadDelay)
    const arriving = user().begin()
    await clock.advance(5)
    resolve()
    const { state, end } = await arriving
    assert.equal(state.id, session.id)
    assert.equal(state.get('x'), 1)
    end()
    await clock.advance(2.9)
    assert.equal(gradio.stats().sessions, 1)
    await clock.advance(0.1)
    assert.equal(gradio.stats().sessions, 0)
  })

  const places: Record<string, () => Place> = {
    alone: () => ({ clock: fakeClock() }),
    'in a cluster': () => {
      const { clock, cluster } = clusterOfOne()
      return { clock, cluster }
    },
  }
  for (const [where, place] of Object.entries(places)) {
    it(`is rejected beyond 100 requests of one session, ${where}; users of other sessions are not`, async t => {
      const { clock, ...options } = place()
      const { gradio, user } = harness(t, options, clock)
      const { promise, resolve } = deferred()
      gradio.unload(() => promise)
      await user().session()
      await clock.advance(unloadDelay)
      const waiting = Array.from({ length: 100 }, () => user().begin())
      const results = await Promise.allSettled(Array.from({ length: 50 }, () => user().begin()))
      for (const result of results) {
        assert.equal(result.status, 'rejected')
        assert.deepEqual([result.reason.code, result.reason.status], ['TOO_MANY_WAITING', 429])
      }
      await user('other').request(state => state.set('x', 1))
      resolve()
      for (const { state, end } of await Promise.all(waiting)) {
        assert.equal(state.signal.aborted, false)
        end()
      }
      await user().request(state => state.set('x', 1))
    })
  }

  it('rejects when the session ends instead', async t => {
    const { clock, gradio, user } = harness(t)
    const { promise, resolve } = deferred()
    gradio.unload(() => promise)
    const session = await user().session()
    await clock.advance(unloadDelay)
    const arriving = user().begin()
    await clock.advance(0)
    const ended = session.end()
    resolve()
    await ended
    const { state, end } = await arriving
    assert.throws(() => state.set('x', 1), { code: 'SESSION_ENDED', status: 410 })
    end()
    assert.notEqual((await user().session()).id, session.id)
  })
})

describe('expiry callbacks and ends', () => {
  it('do not wait for each other, however many there are', async t => {
    const { gradio, clock, user, errors } = harness(t, { gracePeriod: 10, hookTimeout: 100 })
    let promise = Promise.resolve()
    gradio.unload(() => promise)
    for (let round = 1; round <= 2; round++) {
      const unloaded = deferred()
      promise = unloaded.promise
      const seen = new Set<unknown>()
      for (let index = 0; index < 600; index++) {
        const session = await user(`${index}`).session()
        session.set('x', index, { timeToLive: 5, deleteCallback: async value => seen.add(value) })
      }
      for (const session of gradio.sessions()) void session.end()
      await clock.advance(6)
      unloaded.resolve()
      for (let turns = 0; turns < 50; turns++) await clock.advance(0)
      assert.equal(gradio.stats().ending, 0)
      assert.equal(seen.size, 600)
    }
    assert.deepEqual(errors, [])
  })
})

type Session = import('../../lib/index.ts').SessionState
