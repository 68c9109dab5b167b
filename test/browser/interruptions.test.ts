// Connections that break, computers that sleep, and browsers that are quit, with a real browser.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chromium } from 'playwright-core'
import { launchOptions, until, useBrowser } from '../support/browser/browser.ts'
import { proxy } from '../support/browser/proxy.ts'
import { REMEMBER_SOCKET, slowSite } from '../support/browser/slow-site.ts'
import { scratch } from '../support/files/disk.ts'
import { breakableNetwork } from '../support/pages/breakable-network.ts'

const browser = useBrowser()

describe('a page', { concurrency: 3 }, () => {
  it('reconnects without an unload when a proxy cuts its connection', async t => {
    const site = await slowSite(t, browser)
    const between = await proxy(site.port)
    t.after(() => between.close())
    await site.tab.goto(`http://127.0.0.1:${between.port}/`)
    await site.connected()
    for (let times = 0; times < 3; times++) {
      const { upgrades } = between
      between.cut()
      await until(() => between.upgrades > upgrades, 'the page reconnects')
      await site.connected()
      await site.keepsFor(4)
    }
    await site.unloadsWhenClosed()
  })

  it('of a sleeping computer is unloaded, and loads its session again when the computer wakes up', async t => {
    const site = await slowSite(t, browser)
    const line = await breakableNetwork(t, site.port)
    await site.tab.clock.install()
    await site.tab.goto(`http://127.0.0.1:${line.port}/`)
    await site.connected()
    line.cut()
    assert.equal(await site.advance(64), 1)
    await site.connected(0)
    await site.tab.clock.fastForward('08:00:00')
    await site.connected()
    assert.equal(await site.advance(10), 1)
  })
})

it('a user who quits the browser and starts it again finds the session', async t => {
  const profile = scratch(t)
  const start = () => chromium.launchPersistentContext(profile, launchOptions)
  const site = await slowSite(t, browser, {
    routes: app =>
      void app.get('/count', (req, res) => {
        const count = ((req.gradioState.get('count') as number | undefined) ?? 0) + 1
        req.gradioState.set('count', count)
        res.json(count)
      }),
  })
  for (const expected of [1, 2]) {
    const context = await start()
    try {
      await context.addInitScript(REMEMBER_SOCKET)
      const tab = await context.newPage()
      await tab.goto(site.origin)
      await site.connected(1, tab)
      assert.equal(await tab.evaluate(async () => (await fetch('/count')).json()), expected)
    } finally {
      await context.close()
    }
    await site.connected(0)
    // Within the grace period, which is an hour.
    assert.equal(await site.advance(1800), expected)
  }
})
