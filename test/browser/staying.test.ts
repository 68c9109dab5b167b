import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import {
  APPS,
  generate,
  isConnected,
  open,
  picture,
  sessionOf,
  unloadDelayPasses,
  until,
  useBrowser,
  useExample,
} from '../support/browser/browser.ts'
import { type HttpProxy, proxy } from '../support/browser/proxy.ts'

/** Twice the unload delay. */
const SLOW = 4000

/** What a user does without leaving. The page has a picture at the start. */
const moves: Record<string, (tab: Page) => Promise<unknown>> = {
  'a reload': tab => tab.reload(),
  'a reload that is answered only after 4 s': async tab => {
    await tab.evaluate(() => history.replaceState({}, '', '/?slow-page'))
    await tab.reload()
  },
  'a reload whose script comes only after 4 s': async tab => {
    await tab.evaluate(() => history.replaceState({}, '', '/?slow-script'))
    await tab.reload()
  },
  'a reload while another page is on its way': async tab => {
    const browser = await tab.context().newCDPSession(tab)
    await Promise.all([
      tab.waitForRequest(request => request.url().endsWith('slow-page')),
      follow(tab, { href: '/?slow-page' }),
    ])
    await Promise.all([tab.waitForEvent('load'), browser.send('Page.reload')])
    assert.equal(new URL(tab.url()).search, '')
  },
  'a link to another page of the app': async tab => {
    await follow(tab, { href: '/?another' })
    await tab.waitForURL('**/?another')
  },
  'a link that downloads': async tab => {
    await Promise.all([
      tab.waitForEvent('download'),
      follow(tab, { href: '/icon.svg', download: 'icon.svg' }),
    ])
  },
  'a navigation that turns out to be a download': async tab => {
    await Promise.all([tab.waitForEvent('download'), follow(tab, { href: '/icon.svg?attachment' })])
  },
  'a navigation that is answered with nothing': async tab => {
    await Promise.all([
      tab.waitForResponse(response => response.status() === 204),
      follow(tab, { href: '/?nothing' }),
    ])
  },
  'a navigation that is cancelled on its way': async tab => {
    const browser = await tab.context().newCDPSession(tab)
    await Promise.all([
      tab.waitForRequest(request => request.url().endsWith('slow-page')),
      follow(tab, { href: '/?slow-page' }),
    ])
    // The browser's stop button.
    await Promise.all([tab.waitForEvent('requestfailed'), browser.send('Page.stopLoading')])
    assert.equal(new URL(tab.url()).search, '')
  },
  'a navigation that the user takes back when asked': async tab => {
    await tab.evaluate(() => addEventListener('beforeunload', event => event.preventDefault()))
    // Browsers only ask if the user has interacted with the page.
    await generate(tab)
    const [dialog] = await Promise.all([
      tab.waitForEvent('dialog'),
      tab.evaluate(() => {
        setTimeout(() => location.reload())
      }),
    ])
    await dialog.dismiss()
    await tab.evaluate(() =>
      addEventListener('beforeunload', event => event.stopImmediatePropagation(), true),
    )
  },
}

/** The moves that depend on the framework; the rest is between the browser and the library. */
const BASICS = new Set([
  'a reload',
  'a reload that is answered only after 4 s',
  'a link to another page of the app',
  'a navigation that is answered with nothing',
])

function follow(tab: Page, attributes: Record<string, string>): Promise<void> {
  return tab.evaluate(attributes => {
    const link = Object.assign(document.createElement('a'), attributes)
    document.body.append(link)
    link.click()
  }, attributes)
}

for (const app of APPS) {
  describe(`does not unload, on ${app}:`, { concurrency: 5 }, () => {
    const browser = useBrowser()
    const example = useExample({}, app)
    let between: HttpProxy

    before(async () => {
      between = await proxy(example().port, {
        async onRequest(req, res) {
          const slow = req.url === '/?slow-page' || isSlowScript(req.url, req.headers.referer)
          if (slow) await sleep(SLOW)
          if (req.url === '/?nothing') res.writeHead(204).end()
          if (req.url?.endsWith('?attachment')) res.setHeader('Content-Disposition', 'attachment')
        },
      })
    })
    after(() => between?.close())

    for (const [name, move] of Object.entries(moves)) {
      if (app !== 'Express' && !BASICS.has(name)) continue
      it(name, async () => {
        const context = await browser.newContext()
        const tab = await open(context, `http://localhost:${between.port}`)
        const id = await sessionOf(example(), tab)
        await move(tab)
        await until(() => isConnected(tab), 'the page is connected')
        await picture(tab)
        await unloadDelayPasses(example())
        assert.equal(await sessionOf(example(), tab), id)
        await tab.close()
        await example().line(`UNLOAD ${id}`)
        assert.equal(example().count(`LOAD ${id}`), 1)
        assert.equal(example().count(`UNLOAD ${id}`), 1)
        await context.close()
      })
    }
  })
}

function isSlowScript(url = '', referer = ''): boolean {
  return url.endsWith('/client.js') && referer.endsWith('?slow-script')
}
