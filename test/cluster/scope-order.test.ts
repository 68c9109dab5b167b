// The order of the hooks of sessions and their scopes: the same in one process and in a cluster.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { LeaveEvent, SessionView } from '../../lib/index.ts'
import { clusterOfOne, type Place } from '../support/cluster/places.ts'
import { deferred, harness } from '../support/sessions/harness.ts'

const GRACE = 3600
const PLACES: [name: string, place?: () => Place][] = [['alone'], ['in a cluster', clusterOfOne]]

function inPlace(t: TestContext, place: Place | undefined) {
  const cluster = place?.cluster
  return harness(t, { gracePeriod: GRACE, ...(cluster && { cluster }) }, place?.clock)
}

/** An instance whose hooks record what they run for: `unload a`. `hold` makes a hook run until the returned function is called. */
function scopes(t: TestContext, place: Place | undefined) {
  const made = inPlace(t, place)
  const log: string[] = []
  const held = new Map<string, Promise<void>>()
  for (const name of ['load', 'unload', 'ended'] as const)
    made.gradio[name](({ session }: { session: SessionView }) => run(`${name} ${session.key ?? 'session'}`), {
      scoped: true,
    })
  const run = (what: string) => {
    log.push(what)
    return held.get(what)
  }
  const hold = (what: string) => {
    const { promise, resolve } = deferred()
    held.set(what, promise)
    return resolve
  }
  return { ...made, hold, log: () => log.splice(0) }
}

for (const [name, place] of PLACES) {
  describe(`the order of hooks, ${name}`, () => {
    it('a scope that is first used during the unload of its session loads after the session', async t => {
      const { user, clock, hold, log } = scopes(t, place?.())
      const { state, end } = await user().begin()
      void state.id
      const page = await user().connect()
      const release = hold('unload session')
      page.close()
      await clock.advance(4)
      assert.deepEqual(log(), ['load session', 'unload session'])
      state.scoped('a').set('x', 1)
      await clock.advance(0)
      const waits = user().begin()
      await clock.advance(0)
      assert.deepEqual(log(), [])
      release()
      await clock.advance(0)
      assert.deepEqual(log(), ['load session', 'load a'])
      end()
      ;(await waits).end()
      await clock.advance(3)
      assert.deepEqual(log(), ['unload a', 'unload session'])
    })

    it('a scope that is first used after the unload of its session is unloaded', async t => {
      const { user, clock, log } = scopes(t, place?.())
      const { state, end } = await user().begin()
      void state.id
      ;(await user().connect()).close()
      await clock.advance(4)
      assert.deepEqual(log(), ['load session', 'unload session'])
      const scope = state.scoped('a')
      scope.set('x', 1)
      await clock.advance(0)
      assert.deepEqual([log(), scope.signal.aborted], [[], true])
      end()
      await user().request(state => state.scoped('a').get('x'))
      await clock.advance(0)
      assert.deepEqual(log(), ['load session', 'load a'])
      await clock.advance(GRACE)
      assert.deepEqual(log(), ['unload a', 'unload session', 'ended a', 'ended session'])
    })

    it('the unload of a session waits for the hooks of a scope that has ended', async t => {
      const { user, clock, hold, log } = scopes(t, place?.())
      await user().request(state => state.scoped('a').set('x', 1))
      await clock.advance(0)
      const release = hold('unload a')
      await user().request(state => void state.scoped('a').end())
      await clock.advance(3)
      assert.deepEqual(log(), ['load session', 'load a', 'unload a'])
      release()
      await clock.advance(0)
      assert.deepEqual(log(), ['ended a', 'unload session'])
    })

    it('no hook of a session runs during one of its scopes when more sessions end than the limit', async t => {
      const { user, gradio, clock } = inPlace(t, place?.())
      const inScopes = new Map<string, number>()
      const early: string[] = []
      const hook = ({ session: { id, parent } }: LeaveEvent) => {
        const running = inScopes.get((parent ?? { id }).id) ?? 0
        if (parent === undefined) {
          if (running > 0) early.push(id)
          return undefined
        }
        inScopes.set(parent.id, running + 1)
        return new Promise<void>(resolve => clock.setTimer(resolve, 1_000)).then(() =>
          inScopes.set(parent.id, (inScopes.get(parent.id) ?? 0) - 1),
        )
      }
      gradio.unload(hook, { scoped: true })
      gradio.ended(hook, { scoped: true })
      for (let number = 0; number < 600; number++)
        await user(`${number}`).request(state => {
          for (const key of ['a', 'b']) state.scoped(key).set('x', 1)
        })
      // During the unload of most of them.
      await clock.advance(2.3)
      for (const session of gradio.sessions()) void session.end()
      await clock.advance(30)
      assert.deepEqual([inScopes.size, early], [600, []])
    })

    it('a scope that is due at the same time as its session ends before it', async t => {
      const { user, gradio, clock, log } = scopes(t, place?.())
      const { state, end } = await user().begin()
      void state.id
      ;(await user().connect()).close()
      await clock.advance(60)
      end()
      gradio.session(state.id)?.scoped('a').set('x', 1)
      await clock.advance(GRACE)
      assert.deepEqual(log(), ['load session', 'unload session', 'ended a', 'ended session'])
    })
  })
}

it('a session is not unloaded while the first use of a scope is on its way to the cluster', async t => {
  const place = clusterOfOne()
  const { user, clock, log } = scopes(t, place)
  const { state, end } = await user().begin()
  void state.id
  const page = await user().connect()
  await clock.advance(0)
  const release = place.coordinator.hold('answers')
  state.scoped('a').set('x', 1)
  page.close()
  await clock.advance(4)
  assert.deepEqual(log(), ['load session'])
  release()
  await clock.advance(0)
  assert.deepEqual(log(), ['load a', 'unload a', 'unload session'])
  end()
})
