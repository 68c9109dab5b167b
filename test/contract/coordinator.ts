import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { v4 as uuid } from 'uuid'
import type { SessionClaim } from '../../lib/sessions/coordinator.ts'
import { describeFaults } from './coordinator-faults.ts'
import { describeScopes } from './coordinator-scopes.ts'
import { type CoordinatorPlace, complete, connected, phases, type TestNode } from './coordinator-site.ts'
import { describeCoordinatorValues } from './coordinator-values.ts'
import { describeVersions } from './coordinator-versions.ts'

export type { CoordinatorPlace, CoordinatorUnderTest } from './coordinator-site.ts'

// The behaviour of every coordinator.

export type Open = (t: TestContext) => CoordinatorPlace | Promise<CoordinatorPlace>

/** Declares the tests of the contract for one coordinator. */
export function describeCoordinator(name: string, open: Open): void {
  const test = tests(open)

  describe(`${name}: sessions`, () => {
    test('start with the first entry, under the proposed id, and are shared with the other nodes', async (a, b) => {
      const first = await a.enter('a')
      assert.deepEqual([first.phase, first.load, first.hadPage], ['new', 1, false])
      const second = await b.enter('a')
      assert.deepEqual({ ...second, phase: 'new' }, first)
      assert.equal(second.phase, 'loaded')
      assert.equal((await a.enter('a')).phase, 'loaded')
      assert.notEqual((await b.enter('b')).id, first.id)
    })

    test('are not started without `create`', async (a, b) => {
      assert.equal(await a.find('a'), undefined)
      const { id } = await b.enter('a')
      assert.equal((await a.find('a'))?.id, id)
    })

    test('that two nodes start at the same time are one', async (a, b) => {
      const both = await Promise.all([a.enter('a'), b.enter('a')])
      assert.deepEqual(both.map(({ phase }) => phase).sort(), ['loaded', 'new'])
      assert.equal(both[0].id, both[1].id)
    })

    test('that two nodes have started without waiting are one, with an id for each node', async (a, b) => {
      const [here, there] = [a.begin('a'), b.begin('a')]
      assert.notEqual(here.id, there.id)
      assert.deepEqual([(await here.answer).id, (await there.answer).id], [here.id, there.id])
      assert.equal(await a.unload('a'), undefined)
      const unload = (await b.unload('a')) as SessionClaim
      assert.deepEqual([unload.phase, unload.id, unload.token], ['unload', there.id, 'a'])
      assert.deepEqual(await a.received(), ['a unloaded 1 disconnected'])
      assert.equal(await b.coordinator.extend(unload), true)
      assert.equal(await b.coordinator.complete(unload), true)
      const end = (await a.end('a', 'destroyed')) as SessionClaim
      assert.equal(end.id, here.id)
      assert.equal(await a.coordinator.complete(end), true)
      assert.deepEqual(await b.received(), ['a ended destroyed'])
    })

    test('started without waiting take the id of an answer in flight', async (a, b) => {
      const { id } = await b.enter('a')
      const proposed = uuid()
      const asked = { token: 'a', id: proposed, createdAt: 1, expected: [], navigations: 0 }
      const first = a.coordinator.enter({ ...asked, isBegun: false }, { kind: 'request' }, true)
      const { answer } = a.begin('a', proposed)
      assert.deepEqual([(await first).id, (await answer).id], [proposed, proposed])
      await b.end('a', 'destroyed')
      assert.deepEqual(await a.received(), ['a ended destroyed'])
      assert.notEqual(id, proposed)
    })

    test('are confirmed when the coordinator has answered, until they end', async (a, b) => {
      const { id, answer } = a.begin('a')
      assert.equal(a.coordinator.isConfirmed({ token: 'a', id }), false)
      await answer
      assert.equal(a.coordinator.isConfirmed({ token: 'a', id }), true)
      await b.enter('a')
      await b.end('a')
      await a.received()
      assert.equal(a.coordinator.isConfirmed({ token: 'a', id }), false)
    })

    test('that have ended never start again: the next entry starts another', async (a, b) => {
      const former = await a.enter('a')
      await b.enter('a')
      await b.end('a')
      // Before the node is notified of the end.
      const next = await a.enter('a')
      assert.equal(next.phase, 'new')
      assert.notEqual(next.id, former.id)
      assert.equal((await b.enter('a')).id, next.id)
      assert.deepEqual(await a.received(), ['a ended ended'])
    })

    test('that a node ends while it enters: the entry is in the next session', async a => {
      const former = await a.enter('a')
      const share = a.share('a')
      const entered = a.enter('a')
      await a.coordinator.end(share, 'ended')
      const next = await entered
      assert.deepEqual([next.phase, next.id === former.id], ['new', false])
    })

    test('that a node ends while an entry loads them again: no hooks run for that load', async a => {
      await a.enter('a')
      await complete([a], [await a.unload('a')])
      const share = a.share('a')
      const entered = a.enter('a')
      const end = await a.coordinator.end(share, 'ended')
      assert.deepEqual([end?.load, end?.isLoaded], [2, false])
      assert.equal((await entered).phase, 'new')
      await complete([a], [end])
    })

    test('that are unknown are ended when a node reports them', async (a, b) => {
      await a.enter('a')
      const share = a.share('a')
      await b.enter('a')
      const release = a.under.holdMessages()
      await b.end('a')
      assert.equal((await a.coordinator.report(share)).claim, undefined)
      release()
      assert.ok((await a.received()).every(event => event.startsWith('a ended')))
      // The second time, this node doesn't know the session either.
      await a.coordinator.report(share)
      assert.deepEqual(await a.received(), [])
    })
  })

  describe(`${name}: shares`, () => {
    test('the last node that stops keeping a session loaded gets the unload', async (a, b) => {
      const { id, createdAt } = await a.enter('a')
      await b.page('a', 'p')
      assert.equal(await a.unload('a'), undefined)
      const { fence, ...claim } = (await b.unload('a')) as SessionClaim
      const about = { token: 'a', id, createdAt, load: 1, isLoaded: true, hadPage: true, values: [] }
      assert.deepEqual(plain(claim), { ...about, phase: 'unload', reason: 'disconnected' })
      assert.deepEqual((await a.received()).at(-1), 'a unloaded 1 disconnected')
      assert.deepEqual(await b.received(), [])
      assert.ok(fence > 0)
    })

    test('of two nodes that stop at the same time, one gets the claim', async (a, b) => {
      for (let round = 0; round < 20; round++) {
        const token = `round ${round}`
        await Promise.all([a.enter(token), b.enter(token)])
        const claims = await Promise.all([a.unload(token), b.unload(token)])
        assert.deepEqual(claims.map(claim => claim?.phase).sort(), ['unload', undefined])
        await complete([a, b], claims)
        const ends = await Promise.all([a.leave(token), b.leave(token)])
        assert.deepEqual(ends.map(claim => claim?.phase).sort(), ['end', undefined])
        await complete([a, b], ends)
      }
    })

    test('repeating a report changes nothing', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      assert.equal(await a.unload('a'), undefined)
      assert.equal(await a.unload('a'), undefined)
      const claim = (await b.unload('a')) as SessionClaim
      assert.equal(await b.unload('a'), undefined)
      assert.equal(await a.unload('a'), undefined)
      assert.equal(await b.coordinator.complete(claim), true)
      assert.equal(await a.unload('a'), undefined)
      assert.equal(await b.unload('a'), undefined)
    })

    test('the last node that stops keeping the state gets the end, and the others are notified', async (a, b) => {
      const { id } = await a.enter('a')
      await b.enter('a')
      await complete([a, b], [await a.unload('a'), await b.unload('a')])
      await a.received()
      assert.equal(await b.leave('a'), undefined)
      const claim = (await a.leave('a')) as SessionClaim
      assert.deepEqual([claim.phase, claim.id, claim.isLoaded], ['end', id, false])
      assert.deepEqual(await b.received(), ['a ended disconnected'])
      assert.equal(await a.coordinator.complete(claim), true)
      assert.equal(await a.coordinator.complete(claim), false)
      assert.equal((await b.enter('a')).phase, 'new')
    })

    test('an end is claimed without an unload if both are due', async a => {
      await a.enter('a')
      const claim = await a.leave('a')
      assert.deepEqual([claim?.phase, claim?.isLoaded, claim?.load], ['end', true, 1])
    })

    test('an end waits until the unload is completed', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      assert.equal(await a.unload('a'), undefined)
      const unload = (await b.unload('a')) as SessionClaim
      assert.equal(await a.leave('a'), undefined)
      assert.equal(await b.leave('a'), undefined)
      assert.deepEqual(phases(await b.work()), [])
      assert.equal(await b.coordinator.complete(unload), true)
      const ends = [...(await a.work()), ...(await b.work())]
      assert.deepEqual(phases(ends), ['end'])
    })

    test('a report for an earlier load does not keep the current one', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      const release = a.under.holdMessages()
      await complete([a, b], [await a.unload('a'), await b.unload('a')])
      assert.equal((await b.enter('a')).phase, 'returned')
      await a.report('a', { keepsLoaded: true, load: 1 })
      assert.equal((await b.unload('a'))?.load, 2)
      release()
    })

    test('a report that does not know the current load leaves what an entry has kept', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      const release = a.under.holdMessages()
      assert.equal(await a.unload('a'), undefined)
      const unload = (await b.unload('a')) as SessionClaim
      assert.equal((await a.enter('a')).phase, 'unloading')
      await complete([b], [unload])
      await a.report('a', { keepsLoaded: true, load: 1 })
      assert.equal(await b.unload('a'), undefined)
      assert.deepEqual(await b.work(), [])
      release()
      assert.deepEqual(await a.received(), ['a loaded 2 hooks'])
      assert.equal((await a.unload('a'))?.load, 2)
    })
  })

  describe(`${name}: loads`, () => {
    test('an entry loads an unloaded session, and the others are notified', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      await complete([a, b], [await a.unload('a'), await b.unload('a')])
      await a.received()
      const { phase, load } = await b.enter('a')
      assert.deepEqual([phase, load], ['returned', 2])
      assert.deepEqual([await a.received(), await b.received()], [['a loaded 2'], []])
      assert.deepEqual((await a.enter('a')).phase, 'loaded')
      // A node with a request in flight keeps that load too.
      await a.report('a', { keepsLoaded: true })
      assert.equal(await b.unload('a'), undefined)
      assert.equal((await a.unload('a'))?.load, 2)
    })

    test('of entries during the unload, one loads the session when it is completed', async (a, b, c) => {
      for (const node of [a, b, c]) await node.enter('a')
      assert.deepEqual([await a.unload('a'), await b.unload('a')], [undefined, undefined])
      const unload = (await c.unload('a')) as SessionClaim
      for (const node of [a, b]) assert.equal((await node.enter('a')).phase, 'unloading')
      for (const node of [a, b]) await node.received()
      assert.equal(await c.coordinator.complete(unload), true)
      assert.deepEqual(c.events, ['a loaded 2'])
      const events = [...(await a.received()), ...(await b.received())]
      assert.deepEqual(events.sort(), ['a loaded 2', 'a loaded 2 hooks'])
      assert.equal(await a.unload('a'), undefined)
      assert.equal((await b.unload('a'))?.load, 2)
    })

    test('the node that unloads may load again', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      assert.equal(await b.unload('a'), undefined)
      const unload = (await a.unload('a')) as SessionClaim
      assert.equal((await a.page('a', 'p')).phase, 'unloading')
      await b.received()
      assert.equal(await a.coordinator.complete(unload), true)
      assert.deepEqual([a.events, await b.received()], [['a loaded 2 page hooks'], ['a loaded 2 page']])
    })
  })

  describe(`${name}: pages`, () => {
    test('of a session are reported to its other nodes, once per load', async (a, b) => {
      await a.enter('a')
      await b.enter('b')
      assert.equal((await b.page('a', 'p')).hadPage, true)
      assert.deepEqual([await a.received(), await b.received()], [['a page'], []])
      await b.page('a', 'q')
      assert.deepEqual(await a.received(), [])
      assert.equal((await a.enter('a')).hadPage, true)
    })

    test('are reported to a node that no longer keeps the session loaded: it may be about to keep it again', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      assert.equal(await a.unload('a'), undefined)
      await b.page('a', 'p')
      assert.deepEqual(await a.received(), ['a page'])
    })

    test('use the expectation with the earliest deadline, on any node', async (a, b, c) => {
      for (const node of [a, b, c]) await node.enter('a')
      await a.report('a', { expected: [20_000 + a.clock.now(), 40_000 + a.clock.now()] })
      await b.report('a', { expected: [30_000 + b.clock.now()] })
      assert.equal((await c.report('a')).pageExpected, true)
      const met: string[] = []
      for (const page of ['p', 'q', 'r', 's']) {
        assert.equal((await c.page('a', page)).isExpectedHere, false)
        for (const [name, node] of [['a', a] as const, ['b', b] as const])
          for (const event of await node.received()) if (event === 'a page expected') met.push(name)
      }
      assert.deepEqual(met, ['a', 'b', 'a'])
      assert.equal((await c.report('a')).pageExpected, false)
    })

    test('use an expectation of the node that they enter', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      await a.report('a', { expected: [20_000 + a.clock.now()] })
      assert.equal((await a.report('a', { expected: [20_000 + a.clock.now()] })).pageExpected, false)
      assert.equal((await a.page('a', 'p')).isExpectedHere, true)
      assert.equal((await a.page('a', 'q')).isExpectedHere, false)
    })

    test('use no expired expectation, and a navigation only after the expectations', async (a, b, c) => {
      for (const node of [a, b, c]) await node.enter('a')
      await a.report('a', { expected: [10_000 + a.clock.now()] })
      await b.report('a', { navigations: 1 })
      await c.report('a', { expected: [20_000 + c.clock.now()] })
      await a.clock.advance(11)
      assert.equal((await a.page('a', 'p')).isExpectedHere, false)
      assert.deepEqual((await c.received()).at(-1), 'a page expected')
      assert.equal((await a.page('a', 'q')).isExpectedHere, false)
      assert.deepEqual((await b.received()).at(-1), 'a page expected')
      assert.equal((await a.report('a')).pageExpected, false)
    })

    test('that were known use no expectation', async (a, b) => {
      await a.page('a', 'p')
      await b.enter('a')
      await b.report('a', { expected: [10_000 + b.clock.now()] })
      assert.equal((await b.page('a', 'p')).isExpectedHere, false)
      assert.equal((await a.report('a')).pageExpected, true)
    })

    test('move to the node where they enter', async (a, b) => {
      const first = await a.page('a', 'p')
      assert.equal(first.pagesElsewhere, 0)
      assert.equal((await b.enter('a')).pagesElsewhere, 1)
      assert.equal((await b.page('a', 'p')).pagesElsewhere, 0)
      assert.deepEqual(await a.received(), ['a moved p'])
      // It leaves the node that no longer has it: that changes nothing.
      await a.report('a', {}, 'p')
      assert.equal((await a.enter('a')).pagesElsewhere, 1)
      await b.report('a', {}, 'p')
      assert.equal((await a.enter('a')).pagesElsewhere, 0)
    })

    test('can say goodbye to any node', async (a, b) => {
      await a.page('a', 'p')
      const { goodbye } = b.coordinator
      const to = (token: string, page: string) => goodbye.call(b.coordinator, token, page, 3, 'within')
      assert.equal(await to('a', 'p'), true)
      assert.equal(await b.coordinator.goodbye('a', 'p', undefined, undefined), true)
      assert.deepEqual(await a.received(), ['a goodbye p 3 within', 'a goodbye p undefined undefined'])
      assert.deepEqual([await to('a', 'q'), await to('b', 'p')], [false, false])
    })
  })

  describe(`${name}: an expiry`, () => {
    test('is reported to the other nodes, and is the reason of the unload and the end', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      await a.expire('a', 10)
      assert.deepEqual([await a.received(), await b.received()], [[], ['a expired 10000']])
      assert.equal(await b.unload('a', 10), undefined)
      const unload = (await a.unload('a', 10)) as SessionClaim
      assert.deepEqual([unload.phase, unload.reason], ['unload', 'expired'])
      await complete([a], [unload])
      assert.deepEqual((await b.received()).at(-1), 'a unloaded 1 expired')
      assert.equal(await b.leave('a'), undefined)
      assert.equal((await a.leave('a'))?.reason, 'expired')
    })

    test('is cancelled by an entry on any node', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      await a.expire('a', 10)
      await b.enter('a')
      assert.equal(await a.unload('a'), undefined)
      assert.equal((await b.unload('a'))?.reason, 'disconnected')
    })

    test('keeps the state on the node that reports it', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      await a.leave('a')
      await complete([b], [await b.unload('a')])
      await a.expire('a', 10)
      assert.equal(await b.leave('a'), undefined)
      assert.equal((await a.leave('a'))?.reason, 'expired')
    })

    test('of a session that has ended does nothing', async (a, b) => {
      await a.enter('a')
      const share = a.share('a')
      await b.enter('a')
      await b.end('a')
      const { id } = await b.enter('a')
      await a.coordinator.expire(share, 0)
      await b.received()
      assert.deepEqual([(await b.unload('a'))?.reason, b.share('a').id], ['disconnected', id])
    })
  })

  describe(`${name}: end()`, () => {
    test('gives the claim to one caller, and notifies the others', async (a, b, c) => {
      const { id } = await a.enter('a')
      await b.enter('a')
      await c.enter('a')
      const claims = await Promise.all([a.end('a', 'destroyed'), b.end('a', 'ended')])
      const [claim, ...more] = claims.filter(claim => claim !== undefined)
      assert.deepEqual([claim?.id, claim?.phase, claim?.isLoaded, more], [id, 'end', true, []])
      assert.deepEqual(await c.received(), [`a ended ${claim?.reason}`])
      await complete([a, b], claims)
      assert.deepEqual(phases([...(await a.work()), ...(await b.work())]), [])
    })

    test('evicts only sessions that no other node keeps', async (a, b) => {
      const { id } = await a.enter('a')
      await b.enter('a')
      assert.equal(await a.end('a', 'evicted'), undefined)
      assert.deepEqual(await b.received(), [])
      assert.equal((await a.enter('a')).id, id)
      assert.equal(await a.end('a', 'evicted'), undefined)
      const claim = await b.end('a', 'evicted')
      assert.deepEqual([claim?.phase, claim?.reason], ['end', 'evicted'])
    })

    test('during an unload leaves the end to the node that unloads', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      assert.equal(await b.unload('a'), undefined)
      const unload = (await a.unload('a')) as SessionClaim
      assert.equal(await b.end('a', 'destroyed'), undefined)
      const [end, ...more] = (await a.work()) as SessionClaim[]
      assert.deepEqual([end?.phase, end?.reason, end?.isLoaded, more], ['end', 'destroyed', true, []])
      assert.equal(await a.coordinator.complete(unload), false)
      await complete([a], [end])
      assert.deepEqual(phases([...(await a.work()), ...(await b.work())]), [])
    })
  })

  describe(`${name}: a claim`, () => {
    test('is the only one with its fence, and later ones have higher fences', async a => {
      await a.enter('a')
      const first = (await a.unload('a')) as SessionClaim
      assert.equal(await a.coordinator.extend(first), true)
      await complete([a], [first])
      assert.equal(await a.coordinator.complete(first), false)
      await a.enter('a')
      const second = (await a.unload('a')) as SessionClaim
      assert.ok(second.fence > first.fence)
      assert.equal(await a.coordinator.complete(first), false)
      await complete([a], [second])
    })

    test('that is extended is granted to no other node', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      await b.unload('a')
      const claim = (await a.unload('a')) as SessionClaim
      for (let round = 0; round < 5; round++) {
        await a.clock.advance(6)
        assert.equal(await a.coordinator.extend(claim), true)
        assert.deepEqual(phases(await b.work()), [])
      }
      await complete([a], [claim])
    })
  })

  describeScopes(name, test)
  describeVersions(name, test)
  describeFaults(name, test)
  describeCoordinatorValues(name, open, test)
}

type Run = (a: TestNode, b: TestNode, c: TestNode) => Promise<void>
export type Declare = (behaviour: string, run: Run) => void

function tests(open: Open): Declare {
  return (behaviour, run) => {
    it(behaviour, async t => {
      const [a, b, c] = (await connected(t, await open(t), 3)) as [TestNode, TestNode, TestNode]
      await run(a, b, c)
    })
  }
}

const plain = (claim: object) => JSON.parse(JSON.stringify(claim))
