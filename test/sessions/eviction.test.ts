import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Coordinator } from '../../lib/sessions/coordinator.ts'
import { Presence } from '../../lib/sessions/presence.ts'
import { clusterOfOne } from '../support/cluster/places.ts'
import { type Harness, harness, type TestUser } from '../support/sessions/harness.ts'

interface Full extends Harness {
  /** The names of the evicted sessions, in order. */
  readonly evicted: string[]
  /** Starts sessions that stay open, each of which evicts one. */
  fill(count: number): Promise<void>
}

function full(t: TestContext, maxSessions: number, made = harness(t, { maxSessions })): Full {
  const evicted: string[] = []
  made.gradio.ended(({ session, reason }) => {
    if (reason === 'evicted') evicted.push(String(session.get('name')))
  })
  return {
    ...made,
    evicted,
    async fill(count) {
      for (let number = 0; number < count; number++) {
        const { state } = await made.user(`new ${evicted.length} ${number}`).begin()
        state.set('name', 'new')
      }
      await made.clock.advance(0)
    },
  }
}

const names = (user: TestUser, name: string) => user.request(state => state.set('name', name))

describe('eviction', () => {
  it('starts with sessions that never returned, then those of requests alone, then those that had a page for 30 s', async t => {
    const { user, clock, evicted, fill } = full(t, 8)
    const stay = async (name: string, seconds: number) => {
      const page = await user(name).connect()
      await names(user(name), name)
      await clock.advance(seconds)
      page.close()
    }
    await stay('page of 30 s', 30)
    await stay('two pages of 15 s', 15)
    await stay('page of 29.9 s', 29.9)
    await stay('page of 1 s', 1)
    await stay('two pages of 15 s', 15)
    await names(user('twice'), 'twice')
    await names(user('once'), 'once')
    await names(user('twice'), 'twice')
    const pages = [await user('16 s each').connect(), await user('16 s each').connect()]
    await names(user('16 s each'), 'two pages of 16 s at the same time')
    await clock.advance(16)
    for (const page of pages) page.close()
    await names(user('last'), 'last')
    await names(user('last'), 'last')
    await fill(8)
    assert.deepEqual(evicted, [
      'once',
      'page of 29.9 s',
      'page of 1 s',
      'twice',
      'two pages of 16 s at the same time',
      'last',
      'page of 30 s',
      'two pages of 15 s',
    ])
  })

  it('of clients that return once each evicts no session that had a page', async t => {
    const { gradio, user, clock, evicted, fill } = full(t, 20)
    const page = await user('Ada').connect()
    await names(user('Ada'), 'Ada')
    await clock.advance(30)
    page.close()
    for (let number = 0; number < 60; number++) {
      for (let times = 0; times < 2; times++) await names(user(`stranger ${number}`), 'stranger')
    }
    await fill(19)
    assert.deepEqual(evicted, Array(60).fill('stranger'))
    assert.equal(gradio.stats().sessions, 20)
    assert.equal(await user('Ada').request(state => state.get('name')), 'Ada')
  })

  it('determines the longest closed session by the last disconnect, not by the last request', async t => {
    const { user, clock, evicted, fill } = full(t, 2)
    for (const name of ['first', 'second']) {
      const page = await user(name).connect()
      await names(user(name), name)
      await clock.advance(30)
      if (name === 'first') await user('first').request()
      page.close()
    }
    await user('first').request()
    await fill(2)
    assert.deepEqual(evicted, ['second', 'first'])
  })

  it('in a cluster counts the time in which answers report a page on another node', async t => {
    const { clock, cluster, coordinator } = clusterOfOne()
    const made = harness(t, { cluster, maxSessions: 2 }, clock)
    const { user, evicted, fill } = full(t, 2, made)
    const { enter } = coordinator
    let pagesElsewhere = 1
    coordinator.enter = (async (...entry: Parameters<Coordinator['enter']>) => {
      const admission = await enter.apply(coordinator, entry)
      return admission && { ...admission, pagesElsewhere }
    }) as Coordinator['enter']
    const request = async (name: string) => {
      const { state, end } = await user(name).begin()
      await state.establish()
      state.set('name', name)
      end()
    }
    await request('user')
    await clock.advance(30)
    await request('user')
    pagesElsewhere = 0
    await request('stranger')
    await clock.advance(30)
    await request('stranger')
    await fill(1)
    assert.deepEqual(evicted, ['stranger'])
  })
})

describe('the page time', () => {
  const rules = { unloadDelay: 2_000, gracePeriod: 60_000 }
  const page = () => ({ kind: 'page' as const, left: false, isWaiting: false })

  it('ends when a page was last seen, and counts overlapping pages once', () => {
    const presence = new Presence(rules)
    const [first, second, third] = [page(), page(), page()]
    presence.enter(first, 1_000)
    presence.enter(second, 4_000)
    presence.leave(first, {}, 6_000)
    assert.equal(presence.pageTime, 5_000)
    presence.leave(second, { seenAt: 5_000 }, 99_000)
    assert.equal(presence.pageTime, 5_000)
    presence.enter(third, 100_000)
    presence.leave(third, { seenAt: 101_000 }, 195_000)
    assert.equal(presence.pageTime, 6_000)
  })

  it('of other nodes is the time between two answers that report a page', () => {
    const presence = new Presence(rules)
    for (const [now, hasPage] of [
      [1_000, false],
      [2_000, true],
      [5_000, true],
      [9_000, false],
      [20_000, true],
      [21_000, true],
    ] as const)
      presence.notePagesElsewhere(hasPage, now)
    assert.equal(presence.pageTime, 4_000)
    const here = page()
    presence.enter(here, 30_000)
    presence.notePagesElsewhere(true, 31_000)
    presence.leave(here, {}, 32_000)
    presence.notePagesElsewhere(true, 90_000)
    assert.equal(presence.pageTime, 6_000)
  })
})
