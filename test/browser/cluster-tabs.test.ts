// The state of tabs in a real browser, on three nodes behind a balancer without sticky sessions.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { until, useBrowser } from '../support/browser/browser.ts'
import { proxy } from '../support/browser/proxy.ts'
import { clientPage, count, GRACE } from '../support/browser/tab-site.ts'
import { redisSetting } from '../support/cluster/places.ts'
import { nodes } from '../support/http/nodes.ts'

describe('tabs on three nodes', () => {
  const browser = useBrowser()
  const setting = redisSetting()

  it('have their own state wherever their requests go, after a reload too, until they are closed', async t => {
    const log: string[] = []
    const answered = new Set<unknown>()
    const all = await nodes(t, 3, {
      setting,
      options: { gracePeriod: GRACE },
      routes(app, gradio) {
        const counter = gradio.sharedState('counter', {
          value: 0,
          deleteCallback: (value, { session }) =>
            log.push(`delete ${value} of the ${session.parent ? 'tab' : 'session'}`),
        })
        for (const name of ['load', 'unload', 'ended'] as const)
          gradio[name](({ session }) => session.parent && log.push(name), { scoped: true })
        app.get('/', (_req, res) => void res.type('html').send(clientPage))
        app.post('/count', async (req, res) => {
          const { tab } = req.gradioState
          assert.ok(tab)
          answered.add(gradio)
          const counts: (number | undefined)[] = []
          for (const state of [tab, req.gradioState]) {
            await counter.update(state, count => count + 1)
            counts.push(await counter.get(state))
          }
          res.json(counts)
        })
      },
    })
    let requests = 0
    const balancer = await proxy(() => Number(new URL((all[requests++ % 3] ?? assert.fail()).origin).port))
    t.after(() => balancer.close())
    const context = await browser.newContext()
    t.after(() => context.close())
    const open = async () => {
      const tab = await context.newPage()
      await tab.goto(`http://localhost:${balancer.port}/`)
      return tab
    }
    const pages = () => all.reduce((sum, { gradio }) => sum + gradio.stats().pages, 0)
    let session = 0

    const [one, two] = [await open(), await open()]
    for (let round = 1; round <= 4; round++)
      for (const tab of [one, two]) assert.deepEqual(await count(tab), [round, ++session])
    await until(() => log.length === 2, 'both tabs are loaded')
    assert.deepEqual(log.splice(0), ['load', 'load'])
    assert.equal(answered.size, 3)
    await one.reload()
    for (let round = 5; round <= 8; round++) assert.deepEqual(await count(one), [round, ++session])
    await two.close()
    await until(() => pages() === 1, 'the closed tab is known')
    await all.clock.advance(GRACE - 1)
    assert.deepEqual(log.splice(0), ['unload'])
    await all.clock.advance(2)
    await until(() => log.length === 2, 'the closed tab ends')
    assert.deepEqual(log.splice(0), ['delete 4 of the tab', 'ended'])
    assert.deepEqual(await count(one), [9, ++session])
    assert.deepEqual([await count(await open()), log], [[1, ++session], ['load']])
  })
})
