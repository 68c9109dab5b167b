import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { SessionClaim } from '../../lib/sessions/coordinator.ts'
import type { Declare } from './coordinator.ts'
import { complete, type TestNode, workOf } from './coordinator-site.ts'

/** Messages that are older than an answer. Both arrive independently. */
export function describeVersions(name: string, test: Declare): void {
  describe(`${name}: a message that arrives after a newer answer`, () => {
    test('an unload, after the answer to an entry during it', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      const release = a.under.holdMessages()
      await a.unload('a')
      const unload = (await b.unload('a')) as SessionClaim
      assert.equal((await a.enter('a')).phase, 'unloading')
      release()
      assert.deepEqual(await a.received(), [])
      await complete([b], [unload])
      assert.deepEqual(await a.received(), ['a loaded 2 hooks'])
    })

    test('an expiry, after the answer to an entry that cancels it', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      const release = b.under.holdMessages()
      await a.expire('a', 0)
      await b.enter('a')
      release()
      assert.deepEqual(await b.received(), [])
    })

    test('an expiry is delivered if it is newer than the entry', async (a, b) => {
      await a.enter('a')
      const release = b.under.holdMessages()
      await b.enter('a')
      await a.expire('a', 0)
      release()
      assert.deepEqual(await b.received(), ['a expired 0'])
    })

    test('a load, after the claim of the unload that ended it', async (a, b, c) => {
      await c.coordinator.close()
      await a.enter('a')
      await b.enter('a')
      await complete([a, b], [await a.unload('a'), await b.unload('a')])
      await a.received()
      const release = a.under.holdMessages()
      await b.enter('a')
      await b.coordinator.close()
      await a.clock.advance(6)
      const given = await workOf(a)
      assert.deepEqual(
        given.map(({ claim }) => claim.phase === 'unload' && claim.load),
        [2],
      )
      release()
      assert.deepEqual(await a.received(), [])
    })

    test('a load whose hooks this node has to run, after the answer to its next entry: it runs them', async (a, b) => {
      const release = await loadAgainUnheard(a, b)
      const { phase, load } = await a.enter('a')
      assert.deepEqual([phase, load], ['loaded', 2])
      release()
      assert.deepEqual(await a.received(), ['a hooks of 2'])
    })

    test('and after the claim of the unload that ends it', async (a, b) => {
      const release = await loadAgainUnheard(a, b)
      await b.report('a', { keepsLoaded: false })
      assert.equal((await a.report('a', { keepsLoaded: false, load: 2 })).claim?.load, 2)
      release()
      assert.deepEqual(await a.received(), ['a hooks of 2'])
    })

    test('an unload, after a load that was reported later', async (a, b, c) => {
      for (const node of [a, b, c]) await node.enter('a')
      await a.unload('a')
      await b.unload('a')
      const release = a.under.holdMessages()
      await complete([c], [await c.unload('a')])
      await b.enter('a')
      release()
      // In order, both are delivered.
      assert.deepEqual(await a.received(), ['a unloaded 1 disconnected', 'a loaded 2'])
    })

    test('a page that has moved, after its return', async (a, b) => {
      await a.page('a', 'p')
      const release = a.under.holdMessages()
      await b.page('a', 'p')
      await a.page('a', 'p')
      release()
      assert.deepEqual([await a.received(), await b.received()], [[], ['a moved p']])
    })

    test('but not after another entry of the session', async (a, b) => {
      await a.page('a', 'p')
      const release = a.under.holdMessages()
      await b.page('a', 'p')
      await a.page('a', 'q')
      await a.enter('a')
      release()
      assert.deepEqual(await a.received(), ['a moved p'])
    })

    test('an end and a goodbye are always delivered', async (a, b) => {
      await a.page('a', 'p')
      await b.enter('a')
      const release = a.under.holdMessages()
      await b.coordinator.goodbye('a', 'p', 1, undefined)
      await a.enter('a')
      await b.end('a', 'destroyed')
      release()
      assert.deepEqual(await a.received(), ['a goodbye p 1 undefined', 'a ended destroyed'])
    })
  })
}

/** A session that `b` has unloaded is loaded again for `a`. The message about it is held back until the returned function is called. */
async function loadAgainUnheard(a: TestNode, b: TestNode): Promise<() => void> {
  await a.enter('a')
  await b.enter('a')
  await a.unload('a')
  const unload = (await b.unload('a')) as SessionClaim
  assert.equal((await a.enter('a')).phase, 'unloading')
  await a.received()
  const release = a.under.holdMessages()
  await complete([b], [unload])
  return release
}
