// Nodes of one cluster with different options, or different formats of their records.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { RedisClient } from '../../lib/cluster/redis/index.ts'
import { type GradioStateOptions, gradioState } from '../../lib/index.ts'
import { clusterOf } from '../../lib/sessions/cluster-option.ts'
import { keysOf } from '../support/cluster/redis-keys.ts'
import { redisClock } from '../support/servers/redis-clock.ts'
import { useRedis } from '../support/servers/use-redis.ts'
import { closeNow } from '../support/sessions/close-now.ts'
import { testUser } from '../support/sessions/harness.ts'

const used = useRedis()
let clusters = 0

type Problem = Error & { code: string }

/** Nodes at one place, each with options of its own. */
function cluster(t: TestContext) {
  const clock = redisClock(used.server)
  const prefix = `mismatch-${++clusters}`
  async function node(options: GradioStateOptions = {}, timeToLive?: string) {
    const gradio = gradioState({
      clock,
      cluster: clusterOf(() => clock.coordinator(used.client as unknown as RedisClient, prefix)),
      identify: req => req.headers['x-user'] as string,
      ...options,
    })
    const problems: Problem[] = []
    gradio.on('error', error => problems.push(error as Problem))
    const cart = gradio.sharedState<string>('cart', timeToLive === undefined ? {} : { timeToLive })
    t.after(() => closeNow(gradio, clock))
    await clock.advance(0)
    return { gradio, problems, cart }
  }
  return { clock, node, prefix }
}

it('the same options are no mismatch', async t => {
  const { clock, node } = cluster(t)
  const options = { gracePeriod: '60m', origins: ['http://b.example', 'http://a.example'] }
  // Limits, directories and the like apply to each node separately.
  const own = { maxSessions: 5, heartbeat: 5, hookTimeout: 1, maxFileSize: 1, dedup: 'cache' } as const
  const nodes = [await node(options), await node({ ...options, gracePeriod: 3600, ...own })]
  await clock.advance(20)
  for (const { problems } of nodes) assert.deepEqual(problems, [])
})

it('each option that differs is reported once, with both values', async t => {
  const { clock, node } = cluster(t)
  await node({}, '1h')
  await node({}, '1h')
  const { problems } = await node(
    {
      gracePeriod: 60,
      unloadDelay: 0,
      path: '/api',
      session: 'cookie',
      onRegenerate: 'keep',
      keepAlive: true,
      origins: ['http://a.example'],
      cookie: { name: 'other', secure: true },
    },
    '2h',
  )
  await clock.advance(20)
  for (const { code } of problems) assert.equal(code, 'CLUSTER_MISMATCH')
  const differences = problems.map(({ message }) => /got (.*?) on another/.exec(message)?.[1])
  assert.deepEqual(differences.sort(), [
    'cookie.name: other on this node, gradio_state',
    'cookie.secure: true on this node, auto',
    'gracePeriod: 60 s on this node, 3600 s',
    'keepAlive: true on this node, false',
    'onRegenerate: keep on this node, end',
    'origins: http://a.example on this node, none',
    'path: /api on this node, /gradio_api',
    'session: cookie on this node, auto',
    'timeToLive of shared state "cart": 7200 s on this node, 3600 s',
    'unloadDelay: 0 s on this node, 2 s',
  ])
})

it('a node that has closed is not compared with', async t => {
  const { clock, node } = cluster(t)
  const { gradio } = await node({ gracePeriod: 60 })
  await closeNow(gradio, clock)
  const { problems } = await node()
  await clock.advance(20)
  assert.deepEqual(problems, [])
})

it('beside nodes with records of another format, a node works without the cluster, and joins it later', async t => {
  const { clock, node, prefix } = cluster(t)
  const first = await node()
  const keys = await keysOf(used.client, `{${prefix}:*}:about`)
  assert.equal(keys.length, 16)
  const user = testUser(first.gradio)
  await user.request(state => first.cart.set(state, 'apple'))
  for (const key of keys)
    for (const [name, about] of Object.entries(await used.client.hGetAll(key)))
      await used.client.hSet(key, name, about.replace(/^2 /, '3 '))

  const second = await node()
  assert.deepEqual(
    second.problems.map(({ code }) => code),
    ['CLUSTER_MISMATCH'],
  )
  assert.match(second.problems[0]?.message ?? '', /format 2, got one with format 3/)
  const { state, end } = await testUser(second.gradio).begin()
  state.set('n', 1)
  assert.equal(state.get('n'), 1)
  await assert.rejects(second.cart.get(state), { code: 'CLUSTER_UNAVAILABLE' })
  end()
  assert.equal(await user.request(state => first.cart.get(state)), 'apple')
  assert.deepEqual(first.problems, [])

  await closeNow(first.gradio, clock)
  await clock.advance(20)
  const now = await testUser(second.gradio).request(state => second.cart.get(state))
  assert.equal(now, 'apple')
  assert.equal(second.problems.length, 1)
})
