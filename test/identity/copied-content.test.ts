// Apps copy the content of one framework session into another, as Passport does with `keepSessionInfo`: the library's token, too.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { clusterOf } from '../../lib/sessions/cluster-option.ts'
import { MemoryCluster } from '../support/cluster/memory-cluster.ts'
import { MemoryCoordinator } from '../support/cluster/memory-coordinator.ts'
import { worldClock } from '../support/http/session-app.ts'
import { type FrameworkHarness, frameworkHarness } from '../support/sessions/framework-harness.ts'
import { TroubledStore } from '../support/stores/troubled-store.ts'

async function idOf(harness: FrameworkHarness, cookie: string): Promise<string> {
  return harness.user(cookie).request(async ({ state }) => {
    await state.establish()
    return state.id
  })
}

for (const isOnOtherNode of [false, true]) {
  for (const isFirst of [false, true]) {
    const where = isOnOtherNode ? 'on another node' : 'in the same process'
    it(`a copy doesn't lead to the state, ${where}, ${isFirst ? 'before' : 'after'} the original`, async t => {
      const clock = worldClock(t)
      const cluster = new MemoryCluster(clock)
      const options = { cluster: clusterOf(() => new MemoryCoordinator(cluster)) }
      const setting = { clock, store: new TroubledStore(), ...(isOnOtherNode && { options }) }
      const harness = frameworkHarness(t, setting)
      const [original, copy] = [harness.user(), harness.user()]
      const { id, gradioState } = await original.request(async ({ state, session }) => {
        await state.establish()
        return { id: state.id, gradioState: session.gradioState }
      })
      assert.ok(gradioState, 'that the framework session contains the token')
      await copy.request(({ session }) => void Object.assign(session, { gradioState }))

      const later = isOnOtherNode ? frameworkHarness(t, setting) : harness
      if (!isFirst) assert.equal(await idOf(later, original.cookie), id)
      assert.notEqual(await idOf(later, copy.cookie), id)
      assert.equal(await idOf(later, original.cookie), id)
    })
  }
}
