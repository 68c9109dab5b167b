// Several processes answer the requests of one app, and share no sessions.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import express from 'express'
import { type FakeClock, fakeClock } from '../../lib/testing/index.ts'
import { clusterOfOne } from '../support/cluster/places.ts'
import { type Site, site } from '../support/http/express.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'
import { warningsIn } from '../support/warnings.ts'

const SEVERAL = 'GRADIO_STATE_SEVERAL_PROCESSES'

/** One process, and how often it has warned so far. */
async function processes(t: TestContext, count: number, clock: FakeClock = fakeClock()) {
  const warnings = warningsIn(t)
  const all: Site[] = []
  for (let number = 0; number < count; number++)
    all.push(await site(t, express, { session: false, options: { clock } }))
  let pages = 0
  /** A page whose heartbeat reaches one process, and its socket another. */
  async function page(one: Site, other: Site): Promise<number> {
    const id = `page-${++pages}`
    const { ticket } = await heartbeat(one.visitor(), id)
    return (await dial(t, other, id, { ticket })).status
  }
  async function warned(): Promise<number> {
    await turn()
    return warnings.filter(code => code === SEVERAL).length
  }
  return { all: all as [Site, Site], clock, page, warned }
}

it('sockets with tickets of another process, again and again, are warned of once', async t => {
  const { all, clock, page, warned } = await processes(t, 2)
  const [a, b] = all
  await page(b, b)
  for (let times = 1; times <= 10; times++) {
    await clock.advance(15)
    assert.equal(await page(a, b), 401)
    assert.equal(await warned(), times < 3 ? 0 : 1)
  }
})

it('sticky workers are not', async t => {
  const { all, clock, page, warned } = await processes(t, 2)
  for (let times = 0; times < 10; times++) {
    for (const each of all) assert.equal(await page(each, each), 101)
    await clock.advance(15)
  }
  assert.equal(await warned(), 0)
})

it('a restart is not, nor a new process that answers requests beside the old one for a while', async t => {
  const { all, clock, page, warned } = await processes(t, 2)
  const [old, young] = all
  const id = 'of the old one'.replaceAll(' ', '-')
  const { ticket } = await heartbeat(old.visitor(), id)
  await clock.advance(10)
  for (let times = 0; times < 20; times++) {
    await page(young, young)
    assert.equal(await page(old, young), 401)
    assert.equal((await dial(t, young, id, { ticket })).status, 401)
    await clock.advance(1)
  }
  for (let times = 0; times < 10; times++) {
    await clock.advance(15)
    await page(young, young)
  }
  assert.equal(await warned(), 0)
})

it('a process that has not issued a ticket itself does not know since when it could have', async t => {
  const { all, clock, page, warned } = await processes(t, 2)
  const [a, b] = all
  // It needs the path of the routes.
  await (await b.visitor().fetch('/gradio_api/client.js')).arrayBuffer()
  for (let times = 0; times < 5; times++) {
    await clock.advance(15)
    assert.equal(await page(a, b), 401)
  }
  assert.equal(await warned(), 0)
})

it('used, outdated and invented tickets are not', async t => {
  const { all, clock, warned } = await processes(t, 1)
  const [a] = all
  for (let times = 0; times < 5; times++) {
    const id = `page-${times}`
    const { ticket } = await heartbeat(a.visitor(), id)
    for (const status of [101, 401]) assert.equal((await dial(t, a, id, { ticket })).status, status)
    for (const invented of ['', 'x', 'A'.repeat(100), '\0'])
      assert.equal((await dial(t, a, id, { ticket: encodeURIComponent(invented) })).status, 401)
    await clock.advance(15)
    await clock.advance(16)
    assert.equal((await dial(t, a, id, { ticket })).status, 401)
  }
  assert.equal(await warned(), 0)
})

it('nothing is said in a cluster', async t => {
  const warnings = warningsIn(t)
  const { clock, cluster } = clusterOfOne()
  const foreign = await site(t, express, { session: false, options: { clock } })
  const node = await site(t, express, { session: false, options: { clock, cluster } })
  await heartbeat(node.visitor(), 'own')
  for (let times = 0; times < 5; times++) {
    await clock.advance(15)
    const { ticket } = await heartbeat(foreign.visitor(), 'page')
    assert.equal((await dial(t, node, 'page', { ticket })).status, 401)
  }
  await turn()
  assert.ok(!warnings.includes(SEVERAL))
})
