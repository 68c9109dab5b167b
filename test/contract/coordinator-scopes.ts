import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { SessionClaim } from '../../lib/sessions/coordinator.ts'
import { scopeToken } from '../../lib/sessions/scopes.ts'
import type { Declare } from './coordinator.ts'
import { complete, type TestNode } from './coordinator-site.ts'

/** Scopes: a scope is loaded only while its session is. */
export function describeScopes(name: string, test: Declare): void {
  const scope = scopeToken('a', 'x')

  /** Unloads the session of `a`, which that node alone keeps. */
  async function beginUnload(node: TestNode): Promise<SessionClaim> {
    const unload = await node.unload('a')
    assert.equal(unload?.phase, 'unload')
    return unload
  }

  describe(`${name}: scopes`, () => {
    test('start loaded, with load 1, while their session is loaded', async (a, b) => {
      await a.enter('a')
      const { id, phase, load } = await a.enter(scope)
      assert.deepEqual([phase, load], ['new', 1])
      await b.enter('a')
      assert.equal((await b.enter(scope)).id, id)
    })

    test('start unloaded while the unload hooks of their session are running, and load when they enter again', async (a, b) => {
      await a.enter('a')
      await b.enter('a')
      await b.unload('a')
      const unload = await beginUnload(a)
      for (const node of [a, b]) {
        const { phase, load } = await node.enter(scope)
        assert.deepEqual([phase, load], ['unloading', 0])
      }
      await b.received()
      await b.enter('a')
      await complete([a], [unload])
      // The nodes enter the scope again after that event.
      assert.deepEqual([await a.received(), await b.received()], [['a loaded 2'], ['a loaded 2 hooks']])
      const { phase, load } = await b.enter(scope)
      assert.deepEqual([phase, load], ['returned', 1])
      assert.equal((await a.enter(scope)).phase, 'loaded')
    })

    test('stay unloaded while their session is unloaded', async a => {
      await a.enter('a')
      await a.enter(scope)
      await complete([a, a], [await a.unload(scope), await a.unload('a')])
      const { phase, load } = await a.enter(scope)
      assert.deepEqual([phase, load], ['unloaded', 1])
      // There is nothing to unload.
      assert.equal(await a.unload(scope), undefined)
      await a.enter('a')
      assert.deepEqual((({ phase, load }) => [phase, load])(await a.enter(scope)), ['returned', 2])
    })

    test('that entered during their unload are not loaded again while their session is unloaded', async a => {
      await a.enter('a')
      await a.enter(scope)
      const inScope = await a.unload(scope)
      assert.equal((await a.enter(scope)).phase, 'unloading')
      const unload = await beginUnload(a)
      await complete([a], [inScope])
      assert.deepEqual(await a.received(), [])
      await complete([a], [unload])
      assert.deepEqual(await a.received(), [])
      await a.enter('a')
      assert.equal((await a.enter(scope)).phase, 'returned')
    })

    test('that started unloaded end without an unload', async a => {
      await a.enter('a')
      await complete([a], [await beginUnload(a)])
      assert.equal((await a.enter(scope)).phase, 'unloaded')
      const end = await a.leave(scope)
      assert.deepEqual([end?.phase, end?.isLoaded], ['end', false])
      await complete([a], [end])
    })
  })
}
