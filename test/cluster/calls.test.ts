// How often Redis is called, as docs/cluster.md says. Calls of other nodes in the same event-loop tick would be batched with these.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { redisSetting } from '../support/cluster/places.ts'
import { type Node, nodes } from '../support/http/nodes.ts'
import type { RedisClock } from '../support/servers/redis-clock.ts'
import { testUser } from '../support/sessions/harness.ts'

const setting = redisSetting()

// Each instance would warn once about sessions without a page.
process.removeAllListeners('warning')

async function cluster(t: TestContext) {
  const all = await nodes(t, 2, {
    setting,
    // No user has this name, so the request has neither an identity nor a cookie.
    options: { identify: req => (req.headers['x-user'] as string) || undefined, gracePeriod: 60 },
  })
  const clock = all.clock as RedisClock
  const [a, b] = all as unknown as [Node, Node]
  await clock.rest()
  /** How many calls this makes, including calls that it causes later. */
  async function calls(act: () => unknown): Promise<number> {
    const before = clock.calls
    await act()
    await clock.rest()
    return clock.calls - before
  }
  /** How many calls a request waits for, and how many are made until it has left. */
  async function request(node: Node, name: string) {
    let waited = 0
    const made = await calls(async () => {
      const before = clock.calls
      const { end } = await testUser(node.gradio, name).begin()
      waited = clock.calls - before
      end()
    })
    return { made, waited }
  }
  return { clock, a, b, calls, request }
}

test('a request of a user who has a page on the same node: none', async t => {
  const { clock, a, request } = await cluster(t)
  await testUser(a.gradio, 'user').connect()
  await clock.rest()
  assert.deepEqual(await request(a, 'user'), { made: 0, waited: 0 })
})

test('a request of a user who has no page there: one, and one more unless the next follows soon', async t => {
  const { clock, a, b, calls, request } = await cluster(t)
  await testUser(a.gradio, 'user').connect()
  await clock.rest()
  // Heartbeats are sent every 5 s.
  for (let requests = 0; requests < 2; requests++) {
    assert.deepEqual(await request(b, 'user'), { made: 1, waited: 1 })
    assert.equal(await calls(() => clock.advance(1.9)), 0)
  }
  assert.equal(await calls(() => clock.advance(0.1)), 1)
})

test('a request of a user who has no page on any node: one', async t => {
  const { clock, a, request } = await cluster(t)
  await testUser(a.gradio, 'user').session()
  await clock.rest()
  assert.deepEqual(await request(a, 'user'), { made: 1, waited: 1 })
})

test('a request without a session: none', async t => {
  const { a, request } = await cluster(t)
  assert.deepEqual(await request(a, ''), { made: 0, waited: 0 })
})

for (const [means, most] of [
  ['one request', 0.8],
  ['one page', 1.1],
] as const) {
  test(`a whole session with ${means}: at most ${most}, 256 at once`, async t => {
    const { clock, a, calls } = await cluster(t)
    const idle = await calls(() => clock.advance(120))
    const made = await calls(async () => {
      const visits = Array.from({ length: 256 }, async (_, number) => {
        const user = testUser(a.gradio, `user-${number}`)
        if (means === 'one page') (await user.connect()).close()
        else await user.request(state => state.establish())
      })
      await Promise.all(visits)
      assert.equal(a.gradio.stats().sessions, 256)
      await clock.rest()
      await clock.advance(120)
      assert.equal(a.gradio.stats().sessions, 0)
    })
    assert(made - idle > 0)
    assert((made - idle) / 256 <= most, `${made - idle} calls for 256 sessions`)
  })
}

test('a shared value: one for get and set, two for update', async t => {
  const { a, calls } = await cluster(t)
  const count = a.gradio.sharedState<number>('count', { value: 0 })
  const { state, end } = await testUser(a.gradio).begin()
  await state.establish()
  await count.get(state)
  assert.equal(await calls(() => count.set(state, 1)), 1)
  assert.equal(await calls(() => count.get(state)), 1)
  assert.equal(await calls(() => count.update(state, left => left + 1)), 2)
  assert.equal(await count.get(state), 2)
  end()
})

test('an idle node: 3.2 a second; an open page adds none', async t => {
  const { clock, a, calls } = await cluster(t)
  const minute = () => calls(() => clock.advance(60))
  const idle = await minute()
  assert.equal(idle, 2 * 60 * 3.2)
  await testUser(a.gradio).connect()
  await clock.advance(10)
  assert.equal(await minute(), idle)
  assert.equal(a.gradio.stats().pages, 1)
})
