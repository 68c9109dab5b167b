import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { SessionClaim } from '../../lib/sessions/coordinator.ts'
import type { Declare } from './coordinator.ts'
import {
  complete,
  completeAll,
  type Given,
  GRACE_PERIOD,
  phases,
  type TestNode,
  UNLOAD_DELAY,
  workOf,
} from './coordinator-site.ts'

/** Nodes that close, crash and are disconnected. */
export function describeFaults(name: string, test: Declare): void {
  describe(`${name}: a node that closes`, () => {
    test('leaves its shares to the others, as if its sockets broke', async (a, b, c) => {
      await a.page('a', 'p')
      await b.enter('a')
      assert.equal(await b.unload('a'), undefined)
      await a.coordinator.close()
      assert.deepEqual(await summaryOfWork(b, c), [])
      await b.clock.advance(UNLOAD_DELAY + 0.1)
      const unloads = await workOf(b, c)
      assert.deepEqual(unloads.map(about), ['unload disconnected loaded page'])
      await completeAll(unloads)
      assert.equal(await b.leave('a'), undefined)
      await b.clock.advance(GRACE_PERIOD - UNLOAD_DELAY - 1)
      assert.deepEqual(await summaryOfWork(b, c), [])
      await b.clock.advance(2)
      assert.deepEqual(await summaryOfWork(b, c), ['end disconnected page'])
    })

    test('leaves the end of its state as it has reported it', async (a, b, c) => {
      await a.enter('a')
      await complete([a], [await a.unload('a', 20)])
      await a.coordinator.close()
      await b.clock.advance(19)
      assert.deepEqual(await summaryOfWork(b, c), [])
      await b.clock.advance(2)
      assert.deepEqual(await summaryOfWork(b, c), ['end disconnected'])
    })

    test('leaves its claims to others, which get them at once', async (a, b, c) => {
      await a.enter('a')
      const claim = (await a.unload('a')) as SessionClaim
      await a.coordinator.close()
      const again = await workOf(b, c)
      assert.deepEqual(again.map(about), ['unload disconnected loaded'])
      assert.ok((again[0]?.claim.fence ?? 0) > claim.fence)
      await completeAll(again)
    })

    test('leaves them to the next node that connects, if it was the last', async (a, b, c) => {
      await a.enter('a')
      for (const node of [c, b, a]) await node.coordinator.close()
      await a.clock.advance(UNLOAD_DELAY + 0.1)
      const next = await a.another()
      try {
        await next.clock.advance(6)
        const unloads = await workOf(next)
        assert.deepEqual(unloads.map(about), ['unload disconnected loaded'])
        await completeAll(unloads)
        await next.clock.advance(GRACE_PERIOD)
        assert.deepEqual(await summaryOfWork(next), ['end disconnected'])
      } finally {
        await next.coordinator.close()
      }
    })

    test('receives no events any more', async (a, b) => {
      await a.page('a', 'p')
      await b.enter('a')
      const release = a.under.holdMessages()
      await b.page('a', 'p')
      await a.coordinator.close()
      release()
      await a.clock.advance(10)
      assert.deepEqual(await a.received(), [])
    })
  })

  describe(`${name}: a node that is killed`, () => {
    test('is detected after 15 s: the others unload and end its sessions, once', async (a, b, c) => {
      await a.page('a', 'p')
      a.under.kill()
      await b.clock.advance(9)
      assert.deepEqual(await summaryOfWork(b, c), [])
      await b.clock.advance(12)
      const unloads = await workOf(b, c)
      assert.deepEqual(unloads.map(about), ['unload disconnected loaded page'])
      await completeAll(unloads)
      await b.clock.advance(GRACE_PERIOD)
      assert.deepEqual(await summaryOfWork(b, c), ['end disconnected page'])
    })

    test('soon after its user has left: the unload is due at the same time', async (a, b, c) => {
      await a.page('a', 'p')
      await a.report('a', { pages: [], endIn: 30_000 }, 'p')
      a.under.kill()
      await b.clock.advance(22)
      const unloads = await workOf(b, c)
      assert.deepEqual(unloads.map(about), ['unload disconnected loaded page'])
      await completeAll(unloads)
      await b.clock.advance(7)
      assert.deepEqual(await summaryOfWork(b, c), [])
      await b.clock.advance(7)
      assert.deepEqual(await summaryOfWork(b, c), ['end disconnected page'])
    })

    test('leaves a session loaded that another node keeps loaded', async (a, b, c) => {
      await a.page('a', 'p')
      await b.page('a', 'q')
      a.under.kill()
      await b.clock.advance(100)
      assert.deepEqual(await summaryOfWork(b, c), [])
      assert.equal((await b.enter('a')).pagesElsewhere, 0)
      assert.equal((await b.unload('a'))?.phase, 'unload')
    })

    test('leaves its claims to the others', async (a, b, c) => {
      await a.enter('a')
      const unload = (await a.unload('a')) as SessionClaim
      a.under.kill()
      await b.clock.advance(22)
      const again = await workOf(b, c)
      assert.deepEqual(again.map(about), ['unload disconnected loaded'])
      assert.ok((again[0]?.claim.fence ?? 0) > unload.fence)
      await completeAll(again)
    })
  })

  describe(`${name}: an answer that is lost`, () => {
    test('to a report: the claim is granted again after 15 s, once', async (a, b, c) => {
      await a.enter('a')
      await b.enter('a')
      await b.unload('a')
      const reported = a.unload('a')
      // The commands of this tick have been sent.
      for (let i = 0; i < 3; i++) await undefined
      const restore = a.under.cut()
      assert.equal(await reported, undefined)
      restore()
      assert.deepEqual(await summaryOfWork(a, b, c), [])
      await a.clock.advance(13)
      assert.deepEqual(await summaryOfWork(a, b, c), [])
      await a.clock.advance(8)
      const again = await workOf(a, b, c)
      assert.deepEqual(again.map(about), ['unload disconnected loaded'])
      await completeAll(again)
      await a.clock.advance(30)
      assert.deepEqual(await summaryOfWork(a, b, c), [])
    })
  })

  describe(`${name}: an outage`, () => {
    test('makes calls that need an answer reject, and the others resolve without a claim', async a => {
      await a.enter('a')
      const restore = a.under.cut()
      await assert.rejects(a.enter('a'), { code: UNAVAILABLE })
      await assert.rejects(async () => a.coordinator.values.read('a', a.share('a').id, 'x'), {
        code: UNAVAILABLE,
      })
      assert.deepEqual(await a.report('a'), { pageExpected: false })
      assert.equal(await a.coordinator.goodbye('a', 'p', 1, undefined), false)
      assert.deepEqual(await a.coordinator.claim(10), [])
      await a.expire('a', 1)
      restore()
      await a.clock.advance(3)
      assert.equal((await a.enter('a')).phase, 'loaded')
    })

    test('loses nothing that happens while the node reconnects', async (a, b) => {
      const release = a.under.cut()
      // With a heartbeat, which detects it.
      await a.clock.advance(6)
      release()
      const tokens = Array.from({ length: 300 }, (_, number) => `token ${number}`)
      for (const [number, token] of tokens.entries()) {
        a.begin(token).answer.catch(() => {})
        if (number % 10 === 0) await turn()
      }
      await a.received()
      await a.clock.advance(2)
      for (const token of tokens) assert.equal((await b.find(token))?.id, a.share(token).id, token)
    })

    test('delays what is due: it can be claimed when the outage is over', async (a, b) => {
      await a.enter('a')
      await a.enter('b')
      const restore = a.under.cut()
      assert.deepEqual([await a.unload('a'), await a.end('b')], [undefined, undefined])
      await a.clock.advance(1)
      restore()
      await a.clock.advance(3)
      const claims = await a.work()
      assert.deepEqual(claims.map(claim => `${(claim as SessionClaim).token} ${claim.phase}`).sort(), [
        'a unload',
        'b end',
      ])
      for (const claim of claims) await complete([a], [claim])
      await a.clock.advance(30)
      assert.deepEqual(phases([...(await a.work()), ...(await b.work())]), [])
    })

    test("delays completions: what was completed can't be claimed again", async (a, b) => {
      await a.enter('a')
      const unload = (await a.unload('a')) as SessionClaim
      const restore = a.under.cut()
      assert.equal(await a.coordinator.extend({ ...unload }), false)
      assert.equal(await a.coordinator.complete(unload), false)
      await a.clock.advance(1)
      restore()
      await a.clock.advance(30)
      assert.deepEqual(phases([...(await a.work()), ...(await b.work())]), [])
      assert.equal((await b.enter('a')).phase, 'returned')
    })

    test('merges a session that has started during it with the one that the other nodes have', async (a, b) => {
      const restore = a.under.cut()
      const { id, answer } = a.begin('a')
      await assert.rejects(answer, { code: UNAVAILABLE })
      const there = await b.enter('a')
      restore()
      await a.clock.advance(3)
      assert.deepEqual([(await a.enter('a')).id, (await b.enter('a')).id], [id, there.id])
      assert.equal(await b.unload('a'), undefined)
      assert.equal((await a.unload('a'))?.id, id)
      assert.deepEqual(await b.received(), ['a unloaded 1 disconnected'])
    })

    test('is followed by the events that it has missed', async (a, b) => {
      for (const token of ['ended', 'moved']) await b.enter(token)
      await a.enter('ended')
      await a.page('moved', 'p')
      const restore = a.under.cut()
      await b.end('ended', 'destroyed')
      await b.page('moved', 'p')
      await a.clock.advance(1)
      restore()
      await a.clock.advance(3)
      // Messages in flight to the node may be delivered twice.
      const received = new Set(await a.received())
      assert.deepEqual([...received].sort(), ['ended ended destroyed', 'moved moved p'])
      assert.equal((await b.enter('moved')).pagesElsewhere, 0)
    })

    test('is followed by an expiry that was detected during it', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      await b.unload('a')
      const restore = a.under.cut()
      await a.expire('a', 10)
      await a.report('a', { reason: 'expired', endIn: 10_000, keepsLoaded: false })
      await a.clock.advance(1)
      restore()
      await a.clock.advance(3)
      assert.deepEqual(await summaryOfWork(a, b), ['unload expired loaded'])
    })
  })
}

/** The claims of the nodes. */
const summaryOfWork = async (...nodes: TestNode[]) => (await workOf(...nodes)).map(about)

function about({ claim }: Given): string {
  if (claim.phase === 'value') return `value ${claim.name}`
  const { phase, reason, isLoaded, hadPage } = claim
  return `${phase} ${reason}${isLoaded ? ' loaded' : ''}${hadPage ? ' page' : ''}`
}

const UNAVAILABLE = 'CLUSTER_UNAVAILABLE'
