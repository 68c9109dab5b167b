// Two nodes start the session of one user at the same time, by first uses that can't wait for Redis.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { SharedState, State } from '../../lib/index.ts'
import { redisSetting } from '../support/cluster/places.ts'
import { type Node, nodes } from '../support/http/nodes.ts'
import { heartbeat } from '../support/pages/handshake.ts'
import type { RedisClock } from '../support/servers/redis-clock.ts'
import { type TestUser, testUser } from '../support/sessions/harness.ts'

const setting = redisSetting()

interface Side extends Node {
  readonly name: 'a' | 'b'
  readonly user: TestUser
  readonly local: State<string | undefined>
  readonly shared: SharedState<string[]>
}

/** Both parts of a session with a local value on each node, a shared one, and a page that is known to only one of them. */
async function begunTwice(t: TestContext) {
  const log: string[] = []
  const identify = (req: { headers: Record<string, unknown> }) => req.headers['x-user'] as string
  const all = await nodes(t, 2, { setting, options: { unloadDelay: 2, gracePeriod: 60, identify } })
  const clock = all.clock as RedisClock
  const [a, b] = all.map((node, number): Side => {
    const name = number === 0 ? 'a' : 'b'
    const { gradio } = node
    gradio.load(() => void log.push(`load at ${name}`))
    gradio.unload(({ reason }) => void log.push(`unload ${reason}`))
    gradio.ended(({ reason }) => void log.push(`ended ${reason}`))
    const local = gradio.state<string>('local', {
      deleteCallback: (value, { reason }) => void log.push(`${value} at ${name} ${reason}`),
    })
    const shared = gradio.sharedState<string[]>('shared', {
      value: () => [],
      deleteCallback: (value, { reason }) => void log.push(`shared ${value.toSorted()} ${reason}`),
    })
    return { ...node, name, user: testUser(gradio, 'user'), local, shared }
  }) as [Side, Side]

  const begun = [await a.user.begin(), await b.user.begin()] as const
  const signals = begun.map(({ state }) => state.signal)
  a.errors.length = 0
  const ids = [a, b].map(({ local, name }, number) => {
    begun[number]?.state.set(local, `the value of ${name}`)
    return begun[number]?.state.id
  })
  assert.notEqual(ids[0], ids[1], 'each has begun one')
  await Promise.all(
    [a, b].map(({ shared, name }, number) => shared.update(begun[number]!.state, names => [...names, name])),
  )
  const visitor = a.visitor()
  await heartbeat(visitor, 'page', { headers: { 'x-user': 'user' } })
  await clock.rest()
  for (const { end } of begun) end()
  await clock.rest()
  log.sort()
  assert.deepEqual(log.splice(0), ['load at a', 'load at b'])
  // Later requests find everything, too.
  for (const { user, local, shared, name } of [a, b]) {
    await user.request(async state => {
      assert.equal(state.pages, 1)
      assert.equal(state.get(local), `the value of ${name}`)
      assert.deepEqual((await shared.get(state)).toSorted(), ['a', 'b'])
    })
  }
  await clock.rest()
  const nothingIsLeft = () => {
    for (const { gradio } of [a, b]) assert.equal(gradio.stats().sessions, 0)
    for (const signal of signals) assert(signal.aborted)
    // Once per node, since each node has its own value.
    for (const error of [...a.errors, ...b.errors])
      assert.equal((error as { code: string }).code, 'VALUES_ON_TWO_NODES')
  }
  return { a, b, clock, log, visitor, nothingIsLeft }
}

for (const side of ['a', 'b'] as const) {
  test(`node ${side} ends it for both`, async t => {
    const { clock, log, nothingIsLeft, ...sides } = await begunTwice(t)
    await sides[side].user.request(state => state.end())
    await clock.rest()
    assert.deepEqual(log.sort(), [
      'ended ended',
      'shared a,b ended',
      'the value of a at a ended',
      'the value of b at b ended',
      'unload ended',
    ])
    nothingIsLeft()
  })
}

test('the user leaves: both unload once and end together', async t => {
  const { b, clock, log, visitor, nothingIsLeft } = await begunTwice(t)
  await clock.advance(10)
  assert.deepEqual(log, [])
  const goodbye = `${b.origin}/gradio_api/pagehide/page?n=1`
  await visitor.fetch(goodbye, { method: 'POST', headers: { 'x-user': 'user' } })
  await clock.advance(1.9)
  assert.deepEqual(log, [])
  await clock.advance(0.1)
  assert.deepEqual(log.splice(0), ['unload disconnected'])
  await clock.advance(57.9)
  assert.deepEqual(log, [])
  await clock.advance(0.1)
  assert.deepEqual(log.sort(), [
    'ended disconnected',
    'shared a,b disconnected',
    'the value of a at a disconnected',
    'the value of b at b disconnected',
  ])
  nothingIsLeft()
})
