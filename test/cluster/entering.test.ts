// How requests and pages enter sessions that several processes share, and how a process handles the answers.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import type { GradioStateOptions } from '../../lib/index.ts'
import { MemoryCoordinator } from '../support/cluster/memory-coordinator.ts'
import { clusterOfOne } from '../support/cluster/places.ts'
import { site, until } from '../support/http/express.ts'
import { nodes } from '../support/http/nodes.ts'
import { deferred, harness, testUser } from '../support/sessions/harness.ts'

function far(t: TestContext, options: GradioStateOptions = {}) {
  const { clock, cluster, coordinator, all } = clusterOfOne()
  const made = harness(t, { cluster, ...options }, clock)
  const log: string[] = []
  for (const name of ['load', 'unload', 'ended'] as const) made.gradio[name](() => log.push(name))
  /** Waits until no command or answer is in flight. */
  const rest = () => all.rest()
  const establish = async (name?: string) => {
    const request = await made.user(name).begin()
    await request.state.establish()
    return request
  }
  return { ...made, coordinator, all, log, rest, establish }
}

describe('the first use', () => {
  it('without establish() starts the session at once, and the cluster is notified', async t => {
    const { user, rest, gradio, clock, all, log } = far(t)
    const { state, end } = await user().begin()
    state.set('x', 1)
    assert.equal(state.get('x'), 1)
    assert.equal(gradio.stats().sessions, 1)
    await rest()
    assert.deepEqual(log, ['load'])
    assert.deepEqual(
      [...all.sessions.values()].map(({ id, load }) => [id, load]),
      [[state.id, 1]],
    )
    end()
    await clock.advance('2h')
    assert.deepEqual(log, ['load', 'unload', 'ended'])
    assert.equal(gradio.stats().sessions + all.sessions.size, 0)
  })

  it('after establish() works as without a cluster', async t => {
    const { establish, user, gradio, clock, log, rest } = far(t)
    const { state, end } = await establish()
    state.set('x', 1)
    assert.equal(gradio.stats().open, 1)
    await clock.advance('2h')
    end()
    await clock.advance('59m')
    const id = await user().request(state => {
      assert.equal(state.get('x'), 1)
      return state.id
    })
    assert.equal(id, gradio.sessions()[0]?.id)
    await clock.advance('2h')
    await rest()
    assert.deepEqual(log, ['load', 'unload', 'load', 'unload', 'ended'])
    assert.deepEqual([gradio.stats().sessions, gradio.stats().ending], [0, 0])
  })

  it('establish() twice, even concurrently, is one entry', async t => {
    const { user, gradio, rest, clock } = far(t)
    const { state, end } = await user().begin()
    await Promise.all([state.establish(), state.establish()])
    await state.establish()
    end()
    await rest()
    assert.deepEqual([gradio.stats().sessions, gradio.stats().open], [1, 0])
    await clock.advance('2h')
    assert.equal(gradio.stats().sessions, 0)
  })

  it('of one user in many concurrent requests is one session', async t => {
    const { establish, gradio, log } = far(t)
    const requests = await Promise.all(Array.from({ length: 10 }, () => establish()))
    assert.equal(new Set(requests.map(({ state }) => state.id)).size, 1)
    assert.equal(gradio.stats().sessions, 1)
    assert.deepEqual(log, ['load'])
    for (const { end } of requests) end()
  })

  it('that cannot wait takes the id that pending entries have proposed', async t => {
    const { user, gradio, rest, log } = far(t)
    const [first, second] = [await user().begin(), await user().begin()]
    const establishing = first.state.establish()
    const { id } = second.state
    await establishing
    await rest()
    assert.deepEqual([first.state.id, gradio.stats().sessions, log], [id, 1, ['load']])
    for (const { end } of [first, second]) end()
  })
})

describe('pages', () => {
  it('open, close and return', async t => {
    const { clock, cluster } = clusterOfOne()
    const log: string[] = []
    const { gradio, visitor } = await site(t, express, {
      session: false,
      options: { clock, cluster },
      routes(app, gradio) {
        app.get('/', async (req, res) => {
          await req.gradioState.establish()
          res.send(req.gradioState.id)
        })
        for (const name of ['load', 'unload', 'ended'] as const) gradio[name](() => log.push(name))
      },
    })
    const user = visitor()
    const id = await (await user.fetch('/')).text()
    const page = await user.openPage()
    assert.equal(gradio.session(id)?.pages, 1)
    assert.equal(await page.close(), 204)
    await until(() => gradio.stats().open === 0)
    await clock.advance('1m')
    await until(() => log.length === 2)
    const next = await user.openPage()
    assert.deepEqual(log, ['load', 'unload', 'load'])
    assert.equal(gradio.stats().sessions, 1)
    await gradio.endSession(id)
    assert.deepEqual(await next.closed, { code: 4000, reason: 'ended' })
    assert.deepEqual(log, ['load', 'unload', 'load', 'unload', 'ended'])
  })
})

describe('a session that ends while a request enters it', () => {
  it('leaves nothing behind, and the request starts another one', async t => {
    const { establish, user, gradio, rest, clock, all } = far(t)
    const { state, end } = await establish()
    const { id } = state
    end()
    await rest()
    const arriving = user().begin()
    const ended = gradio.endSession(id)
    const next = await arriving
    await ended
    await next.state.establish()
    assert.notEqual(next.state.id, id)
    next.state.set('x', 1)
    next.end()
    await rest()
    assert.equal(gradio.stats().sessions, 1)
    await clock.advance('2h')
    assert.equal(gradio.stats().sessions + all.sessions.size, 0)
  })

  it('before a synchronous entry was answered: nothing is kept for it', async t => {
    const { user, gradio, clock, all, coordinator } = far(t)
    const { state, end } = await user().begin()
    const release = coordinator.hold('orders')
    const { id } = state
    const ended = gradio.endSession(id)
    end()
    release()
    await clock.advance(1)
    await ended
    await clock.advance('2h')
    assert.equal(gradio.stats().sessions + all.sessions.size, 0)
  })

  it('not by eviction: a pending entry keeps its session', async t => {
    const { establish, user, gradio, rest, clock } = far(t, { maxSessions: 1 })
    const first = await establish('one')
    const { id } = first.state
    first.end()
    await rest()
    const other = await user('two').begin()
    const arriving = user('one').begin()
    await assert.rejects(other.state.establish(), { code: 'TOO_MANY_SESSIONS' })
    assert.throws(() => other.state.set('x', 1), { code: 'TOO_MANY_SESSIONS' })
    const { state, end } = await arriving
    assert.equal(state.id, id)
    end()
    other.end()
    await clock.advance('2h')
    assert.equal(gradio.stats().sessions, 0)
  })
})

describe('maxSessions', () => {
  it('holds for simultaneous entries', async t => {
    const { establish, gradio, rest } = far(t, { maxSessions: 3 })
    const arriving = Array.from({ length: 10 }, (_, index) => establish(`${index}`))
    const settled = await Promise.allSettled(arriving)
    await rest()
    assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 3)
    assert.equal(gradio.stats().sessions, 3)
  })
})

describe('a coordinator', () => {
  it('that fails makes the request reject', async t => {
    const { establish, gradio, coordinator } = far(t)
    const failure = new Error('a mistake')
    const { enter } = coordinator
    coordinator.enter = async () => {
      throw failure
    }
    await assert.rejects(establish(), failure)
    coordinator.enter = enter
    await establish()
    assert.equal(gradio.stats().sessions, 1)
  })

  it('that is unavailable lets entries continue with the state of this process, and is notified later', async t => {
    const { establish, user, gradio, clock, rest, coordinator, all, log } = far(t)
    const { state, end } = await establish('known')
    const { id } = state
    end()
    await clock.advance('1m')
    assert.deepEqual(log.splice(0), ['load', 'unload'])
    const back = coordinator.cut()
    const known = await user('known').begin()
    assert.equal(known.state.id, id)
    // A session that was unloaded is loaded by this process.
    assert.deepEqual(log.splice(0), ['load'])
    assert.equal(known.state.signal.aborted, false)
    const unknown = await user('unknown').begin()
    await unknown.state.establish()
    assert.deepEqual(log.splice(0), ['load'])
    for (const { end } of [known, unknown]) end()
    // Nothing is deleted during the outage.
    await clock.advance('2h')
    assert.deepEqual([log, gradio.stats().sessions], [[], 2])
    back()
    await clock.advance(1)
    await rest()
    assert.deepEqual(log.sort(), ['ended', 'ended', 'unload', 'unload'])
    assert.equal(gradio.stats().sessions + all.sessions.size, 0)
  })

  it('that has work of other nodes is asked for it by one call at a time', async t => {
    const { clock, all, coordinator, log, user, rest } = far(t, { unloadDelay: 2 })
    const other = new MemoryCoordinator(all)
    const context = { clock, unloadDelay: 2_000, gracePeriod: 60_000, shares: () => [], options: () => ({}) }
    await other.connect(context, {} as never)
    const ref = { token: 'theirs', id: 'theirs', createdAt: clock.wall() }
    await other.enter({ ...ref, isBegun: false, expected: [], navigations: 0 }, { kind: 'request' }, true)
    await user().request(state => state.id)
    let asked = 0
    const claim = coordinator.claim.bind(coordinator)
    const held = deferred()
    coordinator.claim = async limit => {
      asked++
      await held.promise
      return claim(limit)
    }
    await other.close()
    await clock.advance(10)
    assert.equal(asked, 1)
    held.resolve()
    await rest()
    assert.deepEqual(log.sort(), ['load', 'unload', 'unload'])
    await clock.advance('2h')
    assert.equal(all.sessions.size, 0)
  })
})

it('an entry after an unload was claimed, but before the claim arrived, loads the session after it', async t => {
  const { establish, user, gradio, clock, rest, log, coordinator } = far(t)
  const { end } = await establish()
  end()
  await rest()
  const release = coordinator.hold('answers')
  await clock.advance(2)
  const connecting = user().connect()
  await rest()
  assert.deepEqual(log, ['load'])
  release()
  await clock.advance(5)
  await connecting
  assert.deepEqual(log, ['load', 'unload', 'load'])
  assert.equal(gradio.stats().loaded, 1)
})

describe('several nodes', () => {
  const identify = (req: { headers: Record<string, unknown> }) => req.headers['x-user'] as string

  async function cluster(t: TestContext, hooks: { unload?: () => unknown } = {}) {
    const log: string[] = []
    const options = { identify, unloadDelay: 2, gracePeriod: 60 }
    const all = await nodes(t, 3, { options })
    for (const [number, { gradio }] of all.entries()) {
      gradio.load(() => log.push(`load at ${number}`))
      gradio.unload(() => {
        log.push(`unload at ${number}`)
        return hooks.unload?.()
      })
      gradio.ended(() => log.push(`ended at ${number}`))
    }
    const at = (number: number) => testUser(all[number]!.gradio, 'user')
    return { all, clock: all.clock, log, at }
  }

  it('whose requests arrive during an unload wait for it, and one of them loads the session', async t => {
    const unloaded = deferred()
    const { clock, log, at } = await cluster(t, { unload: () => unloaded.promise })
    await at(0).request(state => state.establish())
    await clock.advance(2)
    assert.deepEqual(log.splice(0), ['load at 0', 'unload at 0'])
    const arrived: string[] = []
    const arriving = [1, 2].map(async number => {
      const request = await at(number).begin()
      arrived.push(`at ${number}`)
      return request
    })
    await clock.advance(1)
    assert.deepEqual([arrived, log], [[], []])
    unloaded.resolve()
    const requests = await Promise.all(arriving)
    assert.deepEqual([arrived.length, log.splice(0).length], [2, 1])
    for (const { state } of requests) assert.equal(state.signal.aborted, false)
    for (const { end } of requests) end()
    await clock.advance(2)
    assert.equal(log.filter(line => line.startsWith('unload')).length, 1)
  })

  it('let an entry continue after the time limit of hooks', async t => {
    const unloaded = deferred()
    const { all, clock, log, at } = await cluster(t, { unload: () => unloaded.promise })
    await at(0).request(state => state.establish())
    const release = all[1]!.hold('messages')
    await clock.advance(2)
    let hasArrived = false
    const arriving = at(1)
      .begin()
      .then(request => {
        hasArrived = true
        return request
      })
    await clock.advance(0)
    unloaded.resolve()
    await clock.advance(4.9)
    assert.equal(hasArrived, false)
    await clock.advance(0.1)
    assert.equal(hasArrived, true)
    release()
    await clock.advance(0)
    assert.deepEqual(log, ['load at 0', 'unload at 0', 'load at 1'])
    ;(await arriving).end()
  })

  it('expect a page where its navigation was answered, although it connects elsewhere', async t => {
    const { clock, log, at } = await cluster(t)
    const navigation = await at(0).begin({ 'upgrade-insecure-requests': '1' })
    await navigation.state.establish()
    navigation.end('text/html')
    await clock.advance(20)
    assert.deepEqual(log.splice(0), ['load at 0'])
    const page = await at(1).connect()
    await clock.advance(5)
    page.close()
    await clock.advance(3.4)
    assert.deepEqual(log, [])
    await clock.advance(0.1)
    assert.equal(log.length, 1)
  })

  it('ignore an expiry that an entry has cancelled since', async t => {
    const { all, clock, log, at } = await cluster(t)
    const request = await at(1).begin()
    await request.state.establish()
    const { id } = request.state
    await at(0).request(state => state.establish())
    const release = all[1]!.hold('messages')
    await all[0]!.coordinator.expire({ token: tokenOf(all, id), id }, 1_000)
    const second = await at(1).begin()
    release()
    await clock.advance(10)
    assert.deepEqual(log, ['load at 1'])
    for (const { end } of [request, second]) end()
  })
})

function tokenOf(all: Awaited<ReturnType<typeof nodes>>, id: string): string {
  for (const share of all[0]?.coordinator.context?.shares() ?? []) if (share.id === id) return share.token
  throw new Error('Expected a session of that id')
}
