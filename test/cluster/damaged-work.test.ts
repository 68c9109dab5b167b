// Damaged records of shared values, ends, due work and nodes in Redis, and commands that fail.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RedisClient } from '../../lib/cluster/redis/index.ts'
import type { SessionClaim } from '../../lib/sessions/coordinator.ts'
import type { ValueClaim } from '../../lib/sessions/shared-value-store.ts'
import { completeAll, workOf } from '../contract/coordinator-site.ts'
import {
  assertAllEnd,
  codesOf,
  type DamagedPlace,
  damagedPlaces,
  FINE,
  FOREVER,
  HURT,
  nodeOf,
  OTHER,
  otherTypes,
} from '../support/cluster/damaged-place.ts'

const place = damagedPlaces()
const DAMAGED = 'CLUSTER_RECORD_DAMAGED'

/** Puts each other type at the key, for a new place each. */
async function eachType(
  t: Parameters<typeof place>[0],
  but: string,
  test: (site: DamagedPlace, damage: (key: string) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const types = ['a string', 'a set', 'a hash of something else'].filter(type => type !== but)
  for (const type of types) {
    await t.test(type, async t => {
      const site = await place(t)
      await test(site, async key => {
        await site.client.del(key)
        await otherTypes(site.client)[type]?.(key)
      })
    })
  }
}

const readAll = ({ a }: DamagedPlace) =>
  Promise.all(
    [HURT, FINE, OTHER].map(
      async token => (await a.coordinator.values.read(token, a.share(token).id, 'cart'))?.data,
    ),
  )

describe('damaged shared values', () => {
  it('are gone when their key is of another type, and can be written again', async t => {
    await eachType(t, 'a hash of something else', async (site, damage) => {
      const { a, key, id } = site
      await damage(key('v'))
      assert.deepEqual(await readAll(site), [undefined, 'apple', 'apple'])
      assert.equal((await a.enter(HURT)).id, id)
      assert.equal((await a.coordinator.values.write(HURT, id, 'cart', 'pear', FOREVER)).written, true)
      assert.deepEqual(await readAll(site), ['pear', 'apple', 'apple'])
      await a.received()
      assert.deepEqual(codesOf(a), [DAMAGED])
      await assertAllEnd(site)
    })
  })

  for (const text of ['', 'apple', '1', '1 -', 'x - apple', '1 x apple', '-1 - apple']) {
    it(`${JSON.stringify(text)} is gone, and costs no other`, async t => {
      const site = await place(t)
      const { a, key, id, client } = site
      await a.coordinator.values.write(HURT, id, 'name', 'Zoë', FOREVER)
      await client.hSet(key('v'), 'cart', text)
      assert.deepEqual(await readAll(site), [undefined, 'apple', 'apple'])
      assert.equal((await a.coordinator.values.read(HURT, id, 'name'))?.data, 'Zoë')
      await client.hSet(key('v'), 'cart', text)
      const end = (await a.end(HURT)) as SessionClaim
      assert.deepEqual(
        end.values.map(({ name }) => name),
        ['name'],
      )
      await a.coordinator.complete(end)
      await a.received()
      assert.deepEqual(codesOf(a), [DAMAGED, DAMAGED])
      await assertAllEnd(site)
    })
  }

  it('that wait for their callback are skipped', async t => {
    for (const [field, value] of Object.entries({
      k: '',
      id: '',
      n: undefined,
      v: 'x',
      d: undefined,
      why: '1',
      b: '',
      f: 'x',
    })) {
      const site = await place(t)
      const { a, id, key, clock, client } = site
      const lost = (await a.coordinator.values.delete(HURT, id, 'cart')) as ValueClaim
      const kept = (await a.coordinator.values.delete(FINE, a.share(FINE).id, 'cart')) as ValueClaim
      const record = key('r', `${id}:1`)
      if (value === undefined) await client.hDel(record, field)
      else await client.hSet(record, field, value)
      await clock.advance(25)
      // Both were due again, for this node.
      assert.deepEqual(await a.work(), [])
      assert.equal(await a.coordinator.complete(kept), true)
      await a.coordinator.complete(lost)
      await a.received()
      assert.deepEqual(codesOf(a), [DAMAGED], field)
      await assertAllEnd(site)
    }
  })
})

describe('a damaged record of an end', () => {
  it('costs that end alone, even while it is claimed', async t => {
    await eachType(t, '', async (site, damage) => {
      const { a, b, id, key, clock } = site
      const lost = (await a.end(HURT)) as SessionClaim
      const kept = (await a.end(FINE)) as SessionClaim
      await damage(key('x', id))
      await clock.advance(6)
      const extended = await Promise.all([lost, kept].map(claim => a.coordinator.extend(claim)))
      assert.deepEqual(extended, [false, true])
      await clock.advance(25)
      // Both were due again, for this node.
      assert.deepEqual(await a.work(), [])
      assert.deepEqual(await Promise.all([lost, kept].map(claim => a.coordinator.complete(claim))), [
        false,
        true,
      ])
      await a.received()
      assert.deepEqual([...new Set([...codesOf(a), ...codesOf(b)])], [DAMAGED])
      await assertAllEnd(site)
    })
  })

  it('with damaged shared values runs without them', async t => {
    await eachType(t, '', async (site, damage) => {
      const { a, b, id, key } = site
      const c = await a.another()
      await c.enter(HURT)
      await c.end(HURT)
      await damage(key('xv', id))
      await c.coordinator.close()
      const work = await workOf(a, b)
      const ends = work.map(({ claim }) => claim as SessionClaim)
      assert.deepEqual(
        ends.map(({ id, values }) => ({ id, values })),
        [{ id, values: [] }],
      )
      await completeAll(work)
      await assertAllEnd(site)
    })
  })

  it('leaves the mark of a completed one: its type does not matter', async t => {
    await eachType(t, '', async (site, damage) => {
      const { a, b, id, key } = site
      await damage(key('gone', id))
      await site.client.expire(key('gone', id), 60)
      await a.coordinator.complete((await a.end(HURT)) as SessionClaim)
      await b.received()
      assert.equal((await b.enter(HURT)).phase, 'new')
      await assertAllEnd(site)
    })
  })
})

describe('damaged records of a node', () => {
  it('that name work and sessions that are none are skipped', async t => {
    const site = await place(t)
    const { key, clock, client } = site
    const a = await site.a.another()
    for (const token of [HURT, FINE]) await a.enter(token)
    const node = nodeOf(a)
    for (const value of [
      'nonsense',
      'x:nonsense',
      'r:nonsense',
      'r:a:1',
      'v:nonsense',
      'v::',
      'v:a:b',
      ':',
      'q:r:s',
      '',
    ])
      await client.zAdd(key('due', node), { score: 1, value })
    for (const set of ['n', 'old']) await client.sAdd(key(set, node), ['nonsense', ''])
    for (const message of [
      'nonsense',
      '{',
      '1',
      'null',
      '{}',
      '[]',
      '[1]',
      '["loaded"]',
      '["ended",{}]',
      '["goodbye","x",1,2]',
    ])
      await client.rPush(key('in', node), message)
    await clock.advance(6)
    assert.deepEqual(await a.work(), [])
    assert.equal((await a.enter(FINE)).phase, 'loaded')
    await a.received()
    assert.deepEqual([...new Set(codesOf(a))], [DAMAGED])
    await a.coordinator.close()
    await assertAllEnd(site)
  })

  it('of another type are deleted, and the nodes report again what was in them', async t => {
    const site = await place(t)
    const { a, b, tag, key, clock, id, client } = site
    const shared = ['nodes', 'seq', 'about', 'epoch', 'secret'].map(kind => `${tag}:${kind}`)
    const own = ['n', 'old', 'due', 'in'].map(kind => key(kind, nodeOf(a)))
    for (const name of [...shared, ...own]) {
      await client.del(name)
      await otherTypes(client)['a stream']?.(name)
      await Promise.allSettled([a.enter(FINE), b.enter(FINE)])
      await clock.advance(12)
      for (const node of [a, b])
        for (const token of [HURT, FINE, OTHER])
          assert.equal((await node.enter(token)).phase, 'loaded', `${token}, ${name}`)
      assert.equal(a.share(HURT).id, id)
      await a.received()
      await b.received()
    }
    await assertAllEnd(site)
  })
})

it('a command that fails does not fail its batch', async t => {
  const site = await place(t, broken)
  const { a, id } = site
  const settled = await Promise.allSettled([
    a.enter(FINE),
    a.coordinator.values.read(HURT, id, 'nonsense'),
    a.enter(OTHER),
  ])
  assert.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal((settled[1] as PromiseRejectedResult).reason.code, 'CLUSTER_UNAVAILABLE')
  assert.deepEqual(codesOf(a), ['CLUSTER_UNAVAILABLE'])
  assert.match(a.problems[0]?.message ?? '', /command read/)
  assert.equal((await a.enter(HURT)).id, id)
  await assertAllEnd(site)
})

/** A client whose commands about the value `nonsense` are none that the script knows. */
function broken(client: RedisClient): RedisClient {
  return new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (name !== 'eval' && name !== 'evalSha') return value.bind(target)
      return (script: string, options: { arguments: string[] }) => {
        const args = options.arguments.map(text =>
          text.includes('"nonsense"') ? text.replace('"read"', '"nonsense"') : text,
        )
        return value.call(target, script, { ...options, arguments: args }) as unknown
      }
    },
  })
}
