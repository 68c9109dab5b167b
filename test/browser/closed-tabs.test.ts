// Tabs that are closed after something that looks like a navigation, in a real browser.

import { describe, it } from 'node:test'
import { until, useBrowser } from '../support/browser/browser.ts'
import {
  begin,
  click,
  downloads,
  form,
  hosts,
  type Move,
  run,
  speculates,
  submit,
} from '../support/browser/moves.ts'
import { html, slowSite } from '../support/browser/slow-site.ts'

/** What happens before the tab is closed. None of it loads a page. */
const others: Record<string, Move> = {
  nothing: { move: async () => {} },
  'a download': {
    routes: app => void app.get('/file', (_req, res) => res.attachment('a.html').send(html())),
    move: site => downloads(site, '<a href="/file">file</a>'),
  },
  'a download by a form': {
    routes: app => void app.post('/search', (_req, res) => res.attachment('a.html').send(html())),
    move: ({ tab }) => Promise.all([tab.waitForEvent('download'), submit(tab, form)]),
  },
  'a link with the attribute download': {
    move: site => downloads(site, '<a href="/" download="a.html">page</a>'),
  },
  'a form that is answered with nothing': {
    routes: app => void app.post('/search', (_req, res) => res.status(204).end()),
    move: ({ tab }) =>
      Promise.all([tab.waitForResponse(response => response.status() === 204), submit(tab, form)]),
  },
  'a link that is answered with nothing': {
    routes: app =>
      void app.get('/next', (_req, res) => res.writeHead(204, { 'Content-Type': 'text/html' }).end()),
    move: ({ tab }) =>
      Promise.all([
        tab.waitForResponse(response => response.status() === 204),
        click(tab, '<a href="/next">next</a>'),
      ]),
  },
  'a reload that the user takes back when asked': {
    async move({ tab }) {
      await tab.evaluate('addEventListener("beforeunload", event => event.preventDefault())')
      // Browsers only ask if the user has interacted with the page.
      await tab.mouse.click(5, 5)
      const [dialog] = await Promise.all([tab.waitForEvent('dialog'), run(tab, 'location.reload()')])
      await dialog.dismiss()
    },
  },
  'a link that the user cancels while the server is slow': {
    routes: (app, { gate }) => void app.get('/next', (_req, res) => void gate().then(() => res.send(html()))),
    async move(site) {
      const { tab } = site
      site.hold()
      await click(tab, '<a href="/next">next</a>')
      await site.requested('GET /next')
      const browser = await tab.context().newCDPSession(tab)
      await Promise.all([tab.waitForEvent('requestfailed'), browser.send('Page.stopLoading')])
    },
  },
  'a link that waits for a slow server': {
    routes: (app, { gate }) => void app.get('/next', (_req, res) => void gate().then(() => res.send(html()))),
    async move(site) {
      site.hold()
      await click(site.tab, '<a href="/next">next</a>')
      await site.requested('GET /next')
    },
  },
  'a prefetch by a link': {
    async move(site) {
      await run(
        site.tab,
        `document.head.insertAdjacentHTML('beforeend', '<link rel="prefetch" href="/?next" as="document">')`,
      )
      await until(() => site.requests.filter(request => request === 'GET /').length === 2, 'the prefetch')
    },
  },
  'a prefetch by speculation rules': { isTrustedOnly: true, move: site => speculates(site, 'prefetch') },
  'a prerender by speculation rules': { isTrustedOnly: true, move: site => speculates(site, 'prerender') },
  'fetch() of HTML': {
    move: ({ tab }) => tab.evaluate("fetch('/', { headers: { accept: 'text/html' } }).then(r => r.text())"),
  },
  // Over plain http to another host, browsers send no headers that distinguish these from navigations.
  'an <object> and an <embed>': {
    isTrustedOnly: true,
    async move(site) {
      await run(
        site.tab,
        `document.body.insertAdjacentHTML('beforeend', '<object type="text/html" data="/plain"></object><embed type="text/html" src="/plain">')`,
      )
      await until(() => site.requests.filter(request => request === 'GET /plain').length === 2, 'both')
    },
    routes: app => void app.get('/plain', (_req, res) => res.send(html('', false))),
  },
}

const browser = useBrowser()

describe('the session is unloaded in time when the tab is closed after', { concurrency: 4 }, () => {
  for (const [name, move] of Object.entries(others)) {
    for (const host of hosts(move)) {
      it(`${name}, on ${host}`, async t => {
        const site = await slowSite(t, browser, { host, ...move })
        await begin(site, move)
        await move.move(site)
        await site.keepsFor(6)
        await site.unloadsWhenClosed()
      })
    }
  }
})
