// Records in Redis that no node of this version can have written: each costs only its own session.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keyOf } from '../../lib/cluster/redis/session-links.ts'
import type { SessionClaim, Share } from '../../lib/sessions/coordinator.ts'
import type { TestNode } from '../contract/coordinator-site.ts'
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
import { neighboursOf } from '../support/cluster/redis-keys.ts'
import { type TroubledClient, troubledClient } from '../support/cluster/troubled-client.ts'

const place = damagedPlaces()

const NO_NUMBERS = ['', 'x', '-', '1.5', 'nan', '1e999', '0x1', 'a b', '\u0000', '{"a":1}', 'ü']

/** The fields of a session, and values that they can't have. */
const GARBAGE: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(['ver', 'b', 'l', 'f', 'ua', 'vs'].map(field => [field, NO_NUMBERS])),
  ea: NO_NUMBERS.filter(value => value !== '-'),
  id: ['', 'a b', 'a:b', '\u0000', 'ü'],
  p: ['', 'x', 'll', '1'],
  w: ['', '1', 'a b', 'Left'],
  o: ['a b', 'ü'],
}

/** Each way to damage the record of a session, at the key. */
function damagesOf({ client, a }: DamagedPlace): Map<string, (record: string) => Promise<unknown>> {
  const damages = new Map<string, (record: string) => Promise<unknown>>()
  for (const [type, write] of Object.entries(otherTypes(client))) {
    damages.set(`is ${type}`, async record => {
      await client.del(record)
      await write(record)
    })
  }
  for (const [field, values] of Object.entries(GARBAGE)) {
    damages.set(`has no ${field}`, record => client.hDel(record, field))
    for (const value of values)
      damages.set(`has ${JSON.stringify(value)} as ${field}`, record => client.hSet(record, field, value))
  }
  damages.set('is unloading by nobody', record => client.hSet(record, 'p', 'u'))
  for (const share of ['', '1', '1 1', '2 1 - 0', '1 1 x 0', '1 1 - x', '1 1 - 0 x'])
    damages.set(`has the share ${JSON.stringify(share)}`, record =>
      client.hSet(record, `k:${nodeOf(a)}`, share),
    )
  return damages
}

/** Everything that a node can say about a session. */
function speakOf({ coordinator }: TestNode, share: Share): Promise<unknown>[] {
  const { token, id } = share
  const { values } = coordinator
  return [
    values.read(token, id, 'cart'),
    coordinator.report(share),
    coordinator.goodbye(token, `page of ${token}`, 1, undefined),
    coordinator.expire(share, 60_000),
    values.write(token, id, 'cart', 'pear', FOREVER),
    values.touch(token, id, 'cart', 60_000),
    values.delete(token, id, 'cart'),
  ]
}

describe('a damaged record of a session', () => {
  it('costs that session alone, whatever is damaged, and whatever is said about it', async t => {
    const site = await place(t)
    const { a, b, key } = site
    const damages = damagesOf(site)
    assert.ok(damages.size > 80)
    const hurt = neighboursOf(HURT, damages.size + 2).slice(2)
    for (const token of hurt) await site.begin(token)
    const ids = hurt.map(token => a.share(token).id)
    for (const [index, damage] of [...damages.values()].entries())
      await damage(key('s', keyOf(hurt[index] as string)))

    // What first comes to the record is each of the commands in turn.
    const spoken = hurt.flatMap((token, index) => {
      const all = speakOf(a, a.share(token))
      return [...all.slice(index % all.length), ...all.slice(0, index % all.length)]
    })
    const fine = [a.enter(FINE), a.enter(OTHER)]
    const read = a.coordinator.values.read(FINE, a.share(FINE).id, 'cart')
    await Promise.allSettled(spoken)
    for (const answer of fine) assert.equal((await answer).phase, 'loaded')
    assert.equal((await read)?.data, 'apple')

    await a.received()
    for (const [index, kind] of [...damages.keys()].entries()) {
      const token = hurt[index] as string
      const next = await a.enter(token)
      assert.deepEqual([next.phase, ids.includes(next.id)], ['new', false], kind)
      assert.equal((await b.enter(token)).id, next.id, kind)
    }
    await a.received()
    assert.deepEqual(
      codesOf(a),
      [...damages].map(() => 'CLUSTER_RECORD_DAMAGED'),
    )
    const named = a.problems.map(({ message }) => /\{damaged-\d+:\d+\}:s:([\w-]{22}) /.exec(message)?.[1])
    assert.deepEqual(named.sort(), hurt.map(keyOf).sort())
    await assertAllEnd(site, hurt)
    assert.deepEqual(codesOf(b), [])
  })

  it('ends it on all nodes, and its hooks run once, if its id can be read', async t => {
    const { a, b, id, key, client } = await place(t)
    await client.hSet(key('s'), 'l', 'x')
    assert.equal(await a.find(HURT), undefined)
    assert.ok((await a.received()).includes('hurt ended disconnected'))
    assert.ok((await b.received()).includes('hurt ended disconnected'))
    const claims = [...(await a.work()), ...(await b.work())] as SessionClaim[]
    assert.deepEqual(
      claims.map(({ phase, id, reason, isLoaded, values }) => ({ phase, id, reason, isLoaded, values })),
      [
        {
          phase: 'end',
          id,
          reason: 'disconnected',
          isLoaded: true,
          values: [{ name: 'cart', version: 1, data: 'apple' }],
        },
      ],
    )
    assert.equal(await a.coordinator.complete(claims[0] as SessionClaim), true)
  })

  it('is found by a command that ends it', async t => {
    const site = await place(t)
    const { a, key, client } = site
    await client.hSet(key('s'), 'ver', 'x')
    const [ended, fine] = await Promise.all([a.end(HURT, 'destroyed'), a.enter(FINE)])
    assert.deepEqual([ended, fine.phase], [undefined, 'loaded'])
    await assertAllEnd(site)
  })

  for (const way of ['dies', 'closes']) {
    it(`is found when its node ${way}`, async t => {
      const clients: TroubledClient[] = []
      const site = await place(t, client => {
        const troubled = troubledClient(client)
        clients.push(troubled)
        return troubled.client
      })
      const { a, b, clock, key, client } = site
      const c = await a.another()
      await c.enter(HURT)
      await c.enter(FINE)
      await client.hSet(key('s'), 'ua', 'x')
      const restore = way === 'closes' ? undefined : clients[2]?.cut()
      if (way === 'closes') await c.coordinator.close()
      await clock.advance(25)
      assert.equal((await a.enter(FINE)).phase, 'loaded')
      assert.equal((await a.enter(HURT)).phase, 'new')
      await assertAllEnd(site)
      assert.equal(
        codesOf(b)
          .concat(codesOf(a))
          .filter(code => code !== 'CLUSTER_RECORD_DAMAGED').length,
        0,
      )
      restore?.()
      await c.coordinator.close()
    })
  }
})
