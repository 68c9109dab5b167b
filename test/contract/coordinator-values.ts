import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { SessionClaim } from '../../lib/sessions/coordinator.ts'
import type { ValueClaim } from '../../lib/sessions/shared-value-store.ts'
import type { Declare, Open } from './coordinator.ts'
import { complete, completeAll, connected, NEVER, type TestNode, workOf } from './coordinator-site.ts'
import { describeSharedValues } from './shared-values.ts'

/** The values that all nodes share: the same contract as in one process, and claims. */
export function describeCoordinatorValues(name: string, open: Open, test: Declare): void {
  describeSharedValues(name, async t => {
    const [node] = (await connected(t, await open(t), 1)) as [TestNode]
    const { clock, coordinator } = node
    return {
      clock,
      values: coordinator.values,
      async begin(token) {
        await node.page(token, 'page')
        return node.share(token)
      },
      async end(token) {
        const claim = (await node.end(token)) as SessionClaim
        assert.equal(await coordinator.complete(claim), true)
        return claim.values
      },
      expired: async () => (await node.work()) as ValueClaim[],
      extend: claim => coordinator.extend(claim),
      complete: claim => coordinator.complete(claim),
    }
  })

  describe(`${name}: shared values of several nodes`, () => {
    test('are the same on all nodes', async (a, b) => {
      const { id } = await a.enter('a')
      await b.enter('a')
      await a.coordinator.values.write('a', id, 'x', '1', { timeToLive: NEVER })
      assert.equal((await b.coordinator.values.read('a', id, 'x'))?.data, '1')
      const both = await Promise.all([a, b].map(node => node.coordinator.values.delete('a', id, 'x')))
      assert.deepEqual(both.map(claim => claim?.data).sort(), ['1', undefined])
      assert.equal(await a.coordinator.values.read('a', id, 'x'), undefined)
      await complete([a, b], both)
    })

    test('are claimed in portions when they expire, each by one node', async (a, b) => {
      const names = Array.from({ length: 60 }, (_, index) => `v${index}`)
      for (const token of ['a', 'b', 'c']) await Promise.all([a.enter(token), b.enter(token)])
      for (const [index, name] of names.entries()) {
        const token = ['a', 'b', 'c'][index % 3]!
        const node = index % 2 === 0 ? a : b
        const { id } = node.share(token)
        await node.coordinator.values.write(token, id, name, name, { timeToLive: 1000 })
      }
      await a.clock.advance(2)
      const portions = [...(await a.portions(7)), ...(await b.portions(7))]
      assert.ok(portions.every(({ claims }) => claims.length <= 7))
      const claimed = portions.flatMap(({ claims }) => claims) as ValueClaim[]
      assert.deepEqual(claimed.map(({ name }) => name).sort(), names.sort())
      await completeAll(portions.flatMap(({ node, claims }) => claims.map(claim => ({ node, claim }))))
    })

    test('end with the session when its end is due', async (a, b) => {
      const { id } = await a.enter('a')
      await b.enter('a')
      await a.coordinator.values.write('a', id, 'x', '1', { timeToLive: NEVER })
      await a.leave('a')
      const unload = await b.unload('a')
      await complete([b], [unload])
      const end = (await b.leave('a')) as SessionClaim
      assert.equal(end.phase, 'end')
      assert.deepEqual(
        end.values.map(({ name, data }) => [name, data]),
        [['x', '1']],
      )
      await complete([b], [end])
    })

    test('are claimed while an unload is in progress', async a => {
      const { id } = await a.enter('a')
      await a.coordinator.values.write('a', id, 'x', '1', { timeToLive: 3000 })
      const unload = (await a.unload('a')) as SessionClaim
      await a.clock.advance(4)
      const given = await workOf(a)
      assert.deepEqual(
        given.map(({ claim }) => claim.phase),
        ['value'],
      )
      await completeAll(given)
      assert.equal(await a.coordinator.extend(unload), true)
      await complete([a], [unload])
    })
  })
}
