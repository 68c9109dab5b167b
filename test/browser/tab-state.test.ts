// The state of a tab in a real browser: what keeps it, and what starts another one.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import { bareTabs } from '../support/browser/bare-tabs.ts'
import { isConnected, until, useBrowser } from '../support/browser/browser.ts'
import { click } from '../support/browser/moves.ts'
import { newProfile } from '../support/browser/profile.ts'
import { count, GRACE, type TabSite, tabSite } from '../support/browser/tab-site.ts'
import { serve } from '../support/http/express.ts'

const browser = useBrowser()

async function user(t: TestContext, from = browser): Promise<BrowserContext> {
  const context = await from.newContext()
  t.after(() => context.close())
  return context
}

async function open(context: BrowserContext, url: string): Promise<Page> {
  const tab = await context.newPage()
  await tab.goto(url)
  return tab
}

/** A user with a tab that has counted twice. */
async function counted(t: TestContext, site: TabSite, from = browser): Promise<Page> {
  const tab = await open(await user(t, from), site.origin)
  assert.deepEqual(await count(tab), [1, 1])
  assert.deepEqual(await count(tab), [2, 2])
  return tab
}

/** The window that the script opens. */
async function opened(tab: Page, script: string): Promise<Page> {
  const [popup] = await Promise.all([tab.waitForEvent('popup'), tab.evaluate(script)])
  await popup.waitForLoadState()
  return popup
}

for (const framework of ['Express', 'Koa'] as const) {
  describe(`the state of a tab, on ${framework}`, { concurrency: 3 }, () => {
    it('is its own, and lasts for reloads and for the pages of the site', async t => {
      const site = await tabSite(t, framework)
      const tab = await counted(t, site)
      const other = await open(tab.context(), site.origin)
      assert.deepEqual(await count(other), [1, 3])
      await tab.reload()
      assert.deepEqual(await count(tab), [3, 4])
      await Promise.all([tab.waitForEvent('load'), tab.evaluate('void setTimeout(() => location.reload())')])
      await tab.goto(`${site.origin}/other`)
      assert.deepEqual(await count(tab), [4, 5])
      await Promise.all([tab.waitForURL('**/'), click(tab, '<a href="/">home</a>')])
      assert.deepEqual(await count(tab), [5, 6])
      assert.deepEqual(await count(other), [2, 7])
      assert.equal(site.gradio.stats().sessions, 1)
      assert.deepEqual(site.log, [])
    })

    it('runs its delete callback when the tab has been closed for the grace period, while the session continues', async t => {
      const site = await tabSite(t, framework)
      const tab = await counted(t, site)
      const other = await open(tab.context(), site.origin)
      await count(other)
      await tab.close()
      await until(() => site.gradio.stats().pages === 1, 'the server knows that the tab is closed')
      await site.clock.advance(GRACE - 1)
      assert.deepEqual(site.log, [])
      await site.clock.advance(1)
      assert.deepEqual(site.log, [`delete 2 @${GRACE}`])
      assert.deepEqual(await count(other), [2, 4])
    })
  })
}

describe('the tab', { concurrency: 3 }, () => {
  it('stays the same on the way back and forward, and after a page of another site', async t => {
    const site = await tabSite(t)
    const elsewhere = await serve(t, (_req, res) =>
      res.setHeader('Content-Type', 'text/html').end('elsewhere'),
    )
    const tab = await counted(t, site)
    await tab.goto(elsewhere.origin)
    await tab.goto(`${site.origin}/other`)
    assert.deepEqual(await count(tab), [3, 3])
    await tab.goto(`${site.origin}/plain`)
    await tab.goBack()
    assert.deepEqual(await count(tab), [4, 4])
    await tab.goBack()
    await tab.goBack()
    assert.deepEqual(await count(tab), [5, 5])
    await tab.goForward()
    await tab.goForward()
    assert.deepEqual(await count(tab), [6, 6])
  })

  for (const [what, script] of [
    ['a window opened by a script', 'void open("/other")'],
    ['a window that has no opener', 'void open("/other", "_blank", "noopener")'],
  ] as const) {
    it(`${what} is another one, even when both reload`, async t => {
      const site = await tabSite(t)
      const tab = await counted(t, site)
      // The id was in sessionStorage, which the window gets a copy of.
      await tab.reload()
      const popup = await opened(tab, script)
      assert.deepEqual(await count(popup), [1, 3])
      await Promise.all([tab.reload(), popup.reload()])
      assert.deepEqual(await count(popup), [2, 4])
      assert.deepEqual(await count(tab), [3, 5])
    })
  }

  it('a window opened while the page is offline is another one', async t => {
    const site = await tabSite(t)
    const tab = await counted(t, site)
    await tab.reload()
    const context = tab.context()
    await context.setOffline(true)
    const popup = await opened(tab, 'void open("about:blank")')
    await context.setOffline(false)
    await popup.goto(site.origin)
    assert.deepEqual(await count(popup), [1, 3])
    assert.deepEqual(await count(tab), [3, 4])
  })

  it('a tab whose page crashed is another one', async t => {
    const site = await tabSite(t)
    const tab = await (await bareTabs(t, browser)).open(site.origin)
    assert.deepEqual(await count(tab), [1, 1])
    await tab.crash()
    await tab.goto(site.origin)
    assert.deepEqual(await count(tab), [1, 2])
  })

  it('a frame of the same origin is in it, and its reload and removal leave nothing for other windows', async t => {
    const site = await tabSite(t)
    const tab = await open(await user(t), `${site.origin}/frame`)
    const frame = tab.frames()[1] ?? assert.fail()
    assert.deepEqual(await count(frame), [1, 1])
    assert.deepEqual(await count(tab), [2, 2])
    await frame.goto(`${site.origin}/other`)
    assert.deepEqual(await count(frame), [3, 3])
    await tab.reload()
    assert.deepEqual(await count(tab), [4, 4])
    assert.deepEqual(await count(tab.frames()[1] ?? assert.fail()), [5, 5])
    await tab.evaluate('document.querySelector("iframe").remove()')
    assert.equal(await tab.evaluate('sessionStorage.length'), 0)
    const popup = await opened(tab, 'void open("/other")')
    assert.deepEqual(await count(popup), [1, 6])
  })

  it('is another one after a login, unless the session keeps its state', async t => {
    for (const [onRegenerate, after] of [
      [
        'end',
        [
          [1, 1],
          [2, 2],
        ],
      ],
      [
        'keep',
        [
          [3, 3],
          [4, 4],
        ],
      ],
    ] as const) {
      const site = await tabSite(t, 'Express', { onRegenerate })
      const tab = await counted(t, site)
      assert.deepEqual([await count(tab, '/login'), await count(tab)], after)
      await count(tab, '/logout')
      assert.deepEqual(await count(tab), [1, 1])
      assert.deepEqual(
        site.log.map(line => line.replace(/ @.*/, '')),
        onRegenerate === 'end' ? ['delete 2', 'delete 2'] : ['delete 4'],
      )
    }
  })

  it('is the document where sessionStorage is blocked', async t => {
    const site = await tabSite(t)
    const context = await user(t)
    await context.addInitScript(() => {
      Object.defineProperty(window, 'sessionStorage', {
        get() {
          throw new DOMException('Blocked', 'SecurityError')
        },
      })
    })
    const tab = await open(context, site.origin)
    assert.deepEqual(await count(tab), [1, 1])
    assert.deepEqual(await count(tab), [2, 2])
    await tab.reload()
    assert.deepEqual(await count(tab), [1, 3])
  })
})

describe('the back/forward cache', () => {
  const windows = useBrowser({ hasWindows: true })

  it('restores pages that are in their tab, and leaves nothing for other windows', async t => {
    const site = await tabSite(t)
    const tab = await counted(t, site, windows)
    await noteShows(tab)
    await tab.goto(`${site.origin}/other`)
    assert.deepEqual(await count(tab), [3, 3])
    await noteShows(tab)
    for (const [move, counts] of [
      ['goBack', [4, 4]],
      ['goForward', [5, 5]],
      ['goBack', [6, 6]],
    ] as const) {
      await tab[move]({ waitUntil: 'commit' })
      await until(() => tab.evaluate('shown.at(-1)').catch(() => false), 'the page comes from the cache')
      await until(() => isConnected(tab), 'the page is connected')
      assert.deepEqual(await count(tab), counts)
      await until(() => tab.evaluate('sessionStorage.length === 0'), 'the id is in no storage')
    }
    const popup = await opened(tab, 'void open("/other")')
    assert.deepEqual(await count(popup), [1, 7])
  })
})

describe('the tab, in a browser with a profile', () => {
  it('is another one when it is duplicated, even after going back, and after reloads of both', async t => {
    const site = await tabSite(t)
    const profile = await newProfile(t)
    const tab = await profile.open(`${site.origin}/other`)
    await tab.goto(`${site.origin}/`)
    assert.deepEqual(await count(tab), [1, 1])
    const copy = await profile.duplicate(`${site.origin}/`)
    assert.deepEqual(await count(copy), [1, 2])
    await copy.goBack()
    assert.deepEqual(await count(copy), [2, 3])
    await Promise.all([tab.reload(), copy.reload()])
    assert.deepEqual(await count(tab), [2, 4])
    assert.deepEqual(await count(copy), [3, 5])
  })

  it('is another one when it is duplicated while its page is offline', async t => {
    const site = await tabSite(t)
    const profile = await newProfile(t)
    const tab = await profile.open(`${site.origin}/`)
    assert.deepEqual(await count(tab), [1, 1])
    const network = await offline(tab)
    await assert.rejects(count(tab))
    const copy = await profile.duplicate(`${site.origin}/`)
    assert.deepEqual(await count(copy), [1, 2])
    await network.restore()
    assert.deepEqual(await count(tab), [2, 3])
  })

  it('stays the same when it was closed and is opened again', async t => {
    const site = await tabSite(t)
    const profile = await newProfile(t)
    const tab = await profile.open(`${site.origin}/`)
    assert.deepEqual(await count(tab), [1, 1])
    await tab.close()
    const again = await profile.reopen()
    assert.deepEqual(await count(again), [2, 2])
    assert.equal(site.gradio.stats().sessions, 1)
  })
})

describe('the tab, when the browser is quit and restores it', () => {
  it('is another one in the same session, and the old one ends after its grace period', async t => {
    const site = await tabSite(t)
    const profile = await newProfile(t)
    const url = `${site.origin}/`
    const tab = await profile.open(url)
    assert.deepEqual(await count(tab), [1, 1])
    assert.deepEqual(await count(tab), [2, 2])
    const restored = await profile.restart(url)
    assert.deepEqual(await count(restored), [1, 3])
    await until(() => site.gradio.stats().pages === 1, 'only the restored page is left')
    await site.clock.advance(GRACE)
    assert.deepEqual(site.log, [`delete 2 @${GRACE}`])
    assert.deepEqual(await count(restored), [2, 4])
    assert.equal(site.gradio.stats().sessions, 1)
  })
})

/** Takes one tab off the network. */
async function offline(tab: Page): Promise<{ restore(): Promise<void> }> {
  const cdp = await tab.context().newCDPSession(tab)
  const emulate = (offline: boolean) =>
    cdp.send('Network.emulateNetworkConditions', {
      offline,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: -1,
    })
  await cdp.send('Network.enable')
  await emulate(true)
  return { restore: async () => void (await emulate(false)) }
}

async function noteShows(tab: Page): Promise<void> {
  await tab.evaluate('window.shown = []; addEventListener("pageshow", event => shown.push(event.persisted))')
}
