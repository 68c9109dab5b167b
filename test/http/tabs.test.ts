// The scopes of browser tabs, from the server's point of view.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import type { GradioStateOptions } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import { clusterOfOne } from '../support/cluster/places.ts'
import { idle, pass, site } from '../support/http/express.ts'

const GRACE = 60
const TAB = 'tab-0123456789abcdefghi'
const OTHER = 'other-0123456789abcdefghi'

/** An app with a counter in each tab, whose hooks record which tab they ran for. */
async function tabs(t: TestContext, options?: GradioStateOptions) {
  const made = await site(t, express, {
    options: { gracePeriod: GRACE, ...options },
    routes(app, gradio) {
      const counter = gradio.state('counter', { value: 0 })
      app.post('/count', (req, res, next) => {
        try {
          const { tab } = req.gradioState
          tab?.update(counter, count => count + 1)
          res.json(tab === undefined ? null : tab.get(counter))
        } catch (error) {
          next(error)
        }
      })
      app.get('/pages', (req, res) => res.json([req.gradioState.pages, req.gradioState.tab?.pages ?? null]))
    },
  })
  const { gradio, clock } = made
  const log: string[] = []
  for (const name of ['load', 'unload', 'ended'] as const) {
    gradio[name](
      ({ session }) => {
        const tab = session.key?.replace(/^tab:(\w+)-.*/, '$1') ?? 'session'
        log.push(`${name} ${tab} @${clock.now() / 1000}`)
      },
      { scoped: true },
    )
  }
  return { ...made, log }
}

const named = (tab?: string) => ({ headers: tab === undefined ? {} : { 'gradio-state-tab': tab } })

async function count(user: Visitor, tab?: string): Promise<unknown> {
  return (await user.fetch('/count', { method: 'POST', ...named(tab) })).json()
}

async function pagesOf(user: Visitor, tab?: string): Promise<unknown> {
  return (await user.fetch('/pages', named(tab))).json()
}

for (const [where, place] of [
  ['alone', undefined],
  ['in a cluster', clusterOfOne],
] as const) {
  describe(`the scope of a tab, ${where}`, () => {
    const options = (more: GradioStateOptions = {}): GradioStateOptions => {
      if (place === undefined) return more
      const { clock, cluster } = place()
      return { clock, ...(cluster && { cluster }), ...more }
    }

    it('is undefined unless the request names its tab', async t => {
      const { visitor, gradio } = await tabs(t, options())
      const user = visitor()
      for (const tab of [undefined, '', 'short', `${TAB}!`, 'x'.repeat(65)])
        assert.equal(await count(user, tab), null)
      assert.equal(gradio.stats().sessions, 0)
      assert.equal(await count(user, TAB), 1)
    })

    it('is separate for each tab and user', async t => {
      const { visitor } = await tabs(t, options())
      const [user, stranger] = [visitor(), visitor()]
      for (const expected of [1, 2]) assert.equal(await count(user, TAB), expected)
      assert.equal(await count(user, OTHER), 1)
      assert.equal(await count(stranger, TAB), 1)
      assert.equal(await count(user, TAB), 3)
    })

    it('is open while a page of the tab is, and then ends, while the session continues', async t => {
      const { visitor, gradio, clock, log } = await tabs(t, options())
      const user = visitor()
      const page = await user.openPage({ tab: TAB })
      const other = await user.openPage({ tab: OTHER })
      assert.equal(await count(user, TAB), 1)
      await idleRequests(user)
      await pass(clock, 3 * GRACE)
      assert.equal(await count(user, TAB), 2)
      assert.deepEqual(await pagesOf(user, TAB), [2, 1])
      log.length = 0
      const closedAt = clock.now() / 1000
      await page.close()
      await pass(clock, GRACE + 1)
      assert.deepEqual(log, [`unload tab @${closedAt + 2}`, `ended tab @${closedAt + GRACE}`].filter(isOfTab))
      assert.equal(gradio.stats().pages, 1)
      assert.equal(await count(user, TAB), 1)
      await other.close()
    })

    it('stays loaded during a reload, and is unloaded if the tab does not come back', async t => {
      const { visitor, clock, log } = await tabs(t, options())
      const user = visitor()
      const page = await user.openPage({ tab: TAB })
      const other = await user.openPage({ tab: OTHER })
      await count(user, TAB)
      await idleRequests(user)
      await user.fetch(`/gradio_api/pagehide/${page.id}?n=1&within`, { method: 'POST' })
      await pass(clock, 10)
      const next = await user.openPage({ tab: TAB })
      await pass(clock, 100)
      assert.deepEqual(log.filter(isOfTab), ['load tab @0'])
      log.length = 0
      const at = clock.now() / 1000
      await user.fetch(`/gradio_api/pagehide/${next.id}?n=1&within`, { method: 'POST' })
      await pass(clock, 31)
      assert.deepEqual(log, [`unload tab @${at + 30}`])
      await other.close()
    })

    it('belongs to a page that opens after its start, and to one that reconnects', async t => {
      const { visitor, clock, log } = await tabs(t, options())
      const user = visitor()
      await count(user, TAB)
      const page = await user.openPage({ tab: TAB })
      assert.deepEqual(await pagesOf(user, TAB), [1, 1])
      await pass(clock, 10)
      await page.crash()
      await clock.advance(1)
      const again = await user.openPage({ id: page.id, tab: TAB })
      assert.deepEqual(await pagesOf(user, TAB), [1, 1])
      await pass(clock, 100)
      assert.deepEqual(log.filter(isOfTab), ['load tab @0'])
      await again.close()
    })

    it('beyond maxScopes is refused, but its page opens', async t => {
      const { visitor } = await tabs(t, options({ maxScopes: 1 }))
      const user = visitor()
      const page = await user.openPage({ tab: TAB })
      assert.equal(await count(user, TAB), 1)
      const other = await user.openPage({ tab: OTHER })
      assert.deepEqual(await pagesOf(user), [2, null])
      const refused = await user.fetch('/count', { method: 'POST', ...named(OTHER) })
      assert.equal(refused.status, 503)
      await page.close()
      assert.equal(await count(user, OTHER), 1)
      await other.close()
    })
  })
}

it('a page alone starts no scope', async t => {
  const { visitor, gradio, clock, log } = await tabs(t)
  const page = await visitor().openPage({ tab: TAB })
  assert.deepEqual([await pagesOf(visitor(), TAB), gradio.stats().pages], [[0, 0], 1])
  await page.close()
  await idle(gradio)
  await clock.advance(GRACE)
  assert.deepEqual(log, ['load session @0', 'unload session @2', `ended session @${GRACE}`])
})

/** Waits until the responses of earlier requests are over: the connections of a visitor are reused. */
async function idleRequests(user: Visitor): Promise<void> {
  await pagesOf(user)
}

function isOfTab(line: string): boolean {
  return line.includes(' tab ')
}
