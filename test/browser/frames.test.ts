// Apps in frames, on other ports of a host, and with front ends of other origins, in a real browser.

import assert from 'node:assert/strict'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import type { Page } from 'playwright-core'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { until, useBrowser } from '../support/browser/browser.ts'
import { html, type SlowSite, slowSite } from '../support/browser/slow-site.ts'
import { scratch } from '../support/files/disk.ts'
import { serve } from '../support/http/express.ts'
import { selfSigned } from '../support/http/self-signed.ts'
import { closeNow } from '../support/sessions/close-now.ts'

const browser = useBrowser()

const frameOf = async (tab: Page, address: string) => {
  const find = () => tab.frames().find(frame => frame.url().startsWith(address))
  await until(() => find() !== undefined, `a frame of ${address}`)
  return find() ?? assert.fail()
}

/** A page of another port, with the site in a frame. */
async function framed(t: TestContext, site: SlowSite) {
  const outer = await serve(t, (_req, res) =>
    res
      .writeHead(200, { 'Content-Type': 'text/html' })
      .end(`<!doctype html><link rel="icon" href="data:,"><iframe src="${site.origin}/"></iframe>`),
  )
  await site.tab.goto(outer.origin)
  await site.connected(1, await frameOf(site.tab, site.origin))
}

describe('in a frame of the same site', { concurrency: 3 }, () => {
  it('a reload of the frame does not unload, and closing the tab does', async t => {
    const site = await slowSite(t, browser)
    await framed(t, site)
    const release = site.hold()
    await (await frameOf(site.tab, site.origin)).evaluate('void setTimeout(() => location.reload())')
    await site.replaced()
    await site.keepsFor(6)
    release()
    await site.connected(1, await frameOf(site.tab, site.origin))
    await site.unloadsWhenClosed()
  })

  it('a reload of the page around it does not unload', async t => {
    const site = await slowSite(t, browser)
    await framed(t, site)
    const release = site.hold()
    await site.tab.reload({ waitUntil: 'commit' })
    await site.replaced()
    await site.keepsFor(6)
    release()
    await site.connected(1, await frameOf(site.tab, site.origin))
    await site.unloadsWhenClosed()
  })

  it('removing a frame unloads, although its tab stays open', async t => {
    const site = await slowSite(t, browser)
    await framed(t, site)
    await site.tab.evaluate('document.querySelector("iframe").remove()')
    await site.connected(0)
    assert.equal(await site.advance(4), 1)
  })
})

describe('on other ports and origins', { concurrency: 3 }, () => {
  it('two apps on two ports of one host count and unload their own pages', async t => {
    const one = await slowSite(t, browser)
    const other = await slowSite(t, { newContext: async () => one.tab.context() })
    await one.tab.goto(one.origin)
    await one.connected()
    await other.tab.goto(other.origin)
    await other.connected()
    await Promise.all([one.tab.reload(), other.tab.reload()])
    await one.connected()
    await other.connected()
    await one.keepsFor(6)
    await other.keepsFor(6)
    await one.unloadsWhenClosed()
    await other.keepsFor(6)
    await other.unloadsWhenClosed()
  })

  it('a front end on another port that is listed in origins counts as a page', async t => {
    const origins: string[] = []
    const front = await serve(t, (_req, res) =>
      res
        .writeHead(200, { 'Content-Type': 'text/html' })
        .end(`<!doctype html><link rel="icon" href="data:,"><script type="module">
          import { connect } from '${site.origin}/gradio_api/client.js'
          await connect('${site.origin}/gradio_api')</script>`),
    )
    origins.push(front.origin)
    const site: SlowSite = await slowSite(t, browser, { options: { origins } })
    await site.tab.goto(front.origin)
    await site.connected()
    await site.tab.reload()
    await site.connected()
    await site.keepsFor(6)
    await site.unloadsWhenClosed()
  })

  it('a link to another origin unloads', async t => {
    const site = await slowSite(t, browser)
    const elsewhere = await serve(t, (_req, res) =>
      res.setHeader('Content-Type', 'text/html').end('elsewhere'),
    )
    await site.tab.goto(site.origin)
    await site.connected()
    await site.tab.goto(elsewhere.origin)
    await site.connected(0)
    assert.equal(await site.advance(4), 1)
  })
})

describe('in a frame of another site, where third-party cookies are blocked', () => {
  const strict = useBrowser({ args: ['--test-third-party-cookie-phaseout'] })

  it("a cookie with sameSite: 'none' keeps the session", async t => {
    const clock = fakeClock()
    const cookie = { sameSite: 'none', secure: true } as const
    const gradio = gradioState({ clock, cookie, cacheDir: scratch(t) })
    const app = express().use(gradio)
    app.get('/count', (req, res) => {
      const count = ((req.gradioState.get('count') as number | undefined) ?? 0) + 1
      req.gradioState.set('count', count)
      res.json(count)
    })
    app.get('/slow.js', (_req, res) => void res.type('js').send(''))
    app.get('/', (_req, res) => void res.send(html()))
    const [inner, outer] = [
      createServer(selfSigned, app),
      createServer(selfSigned, express().get('/', around)),
    ]
    function around(_req: unknown, res: express.Response) {
      res.send(`<!doctype html><iframe src="https://app.test:${portOf(inner)}/"></iframe>`)
    }
    for (const server of [inner, outer]) {
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
      t.after(() => {
        server.closeAllConnections()
        server.close()
      })
    }
    t.after(() => closeNow(gradio, clock))
    const context = await strict.newContext({ ignoreHTTPSErrors: true })
    t.after(() => context.close())
    const tab = await context.newPage()
    await tab.goto(`https://127.0.0.1:${portOf(outer)}/`)
    await until(() => gradio.stats().pages === 1, 'the page is connected')
    const frame = await frameOf(tab, 'https://app.test')
    const counts: unknown[] = []
    for (let times = 0; times < 3; times++) {
      counts.push(await frame.evaluate(async () => (await fetch('/count')).json()))
    }
    assert.deepEqual(counts, [1, 2, 3])
    assert.equal(gradio.stats().sessions, 1)
  })
})

function portOf(server: { address(): AddressInfo | string | null }): number {
  return (server.address() as AddressInfo).port
}
