// Reloads, links, forms and closed tabs in Firefox, which has no `pageswap`.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FirefoxTab, useFirefox } from '../support/browser/firefox.ts'
import { html, type SlowSite, type SlowSiteOptions, slowSiteFor } from '../support/browser/slow-site.ts'
import { count, tabSite } from '../support/browser/tab-site.ts'

interface Move extends Pick<SlowSiteOptions, 'routes'> {
  /** Runs in the page when it is connected. */
  script: string
  /** The only host on which the move is possible. */
  host?: '127.0.0.1'
  /** The requests that the server receives because of it. */
  request?: string
}

const add = (element: string) => `document.body.insertAdjacentHTML('beforeend', ${JSON.stringify(element)})`
const click = (link: string) => `${add(link)}; document.body.lastElementChild.click()`
const submit = `${add('<form method="post" action="/search"></form>')}; document.body.lastElementChild.submit()`
const worker = `navigator.serviceWorker.oncontrollerchange = () => location.reload(); navigator.serviceWorker.register('/worker.js')`

const moves: Record<string, Move> = {
  'a reload by a script': { script: 'location.reload()' },
  'a link': { script: click('<a href="/?next">next</a>') },
  'a form that is answered with a page': {
    routes: app => void app.post('/search', (_req, res) => res.send(html())),
    script: submit,
  },
  'a form that is redirected': {
    routes: app => void app.post('/search', (_req, res) => res.redirect(303, '/?found')),
    script: submit,
  },
  'a page of XHTML': {
    routes: app =>
      void app.get('/next', (_req, res) => {
        res.writeHead(200, { 'Content-Type': 'application/xhtml+xml' }).end(html())
      }),
    script: click('<a href="/next">next</a>'),
  },
  'a reload through a service worker, network first': {
    host: '127.0.0.1',
    routes: app =>
      void app.get('/worker.js', (_req, res) => {
        res.type('js').send(`onactivate = event => event.waitUntil(clients.claim())
          onfetch = event => { if (event.request.mode === 'navigate') event.respondWith(fetch(event.request)) }`)
      }),
    script: worker,
  },
}

const others: Record<string, Move> = {
  nothing: { script: '' },
  'a download': {
    routes: app => void app.get('/file', (_req, res) => res.attachment('a.html').send(html())),
    script: click('<a href="/file">file</a>'),
    request: 'GET /file',
  },
  'a form that is answered with nothing': {
    routes: app => void app.post('/search', (_req, res) => res.status(204).end()),
    script: submit,
    request: 'POST /search',
  },
  'a prefetch by a link': {
    routes: app => void app.get('/next', (_req, res) => res.send(html())),
    script: `document.head.insertAdjacentHTML('beforeend', '<link rel="prefetch" href="/next">')`,
    request: 'GET /next',
  },
  'fetch() of HTML': {
    routes: app => void app.get('/next', (_req, res) => res.send(html())),
    script: "fetch('/next', { headers: { accept: 'text/html' } })",
    request: 'GET /next',
  },
  'an <object> and an <embed>': {
    host: '127.0.0.1',
    routes: app => void app.get('/next', (_req, res) => res.send(html('', false))),
    script: add('<object type="text/html" data="/next"></object><embed type="text/html" src="/next">'),
    request: 'GET /next',
  },
}

describe('in Firefox', () => {
  const firefox = useFirefox()
  const run = ({ tab }: SlowSite<FirefoxTab>, script: string) =>
    tab.evaluate(`void setTimeout(() => { ${script} })`)

  for (const [kinds, brings] of [
    [moves, true],
    [others, false],
  ] as const) {
    for (const [name, { script, request, host: only, routes }] of Object.entries(kinds)) {
      for (const host of only ? [only] : (['127.0.0.1', 'app.test'] as const)) {
        it(`${name} ${brings ? "doesn't unload" : "doesn't delay an unload"}, on ${host}`, async t => {
          const site = await slowSiteFor(t, await firefox.newTab(t), { host, ...(routes && { routes }) })
          await site.tab.goto(`${site.origin}/`)
          await site.connected()
          if (brings) {
            const release = site.hold()
            await run(site, script)
            await site.replaced()
            await site.keepsFor(6)
            release()
            await site.connected()
          } else {
            await run(site, script)
            if (request !== undefined) await site.requested(request)
            // Firefox closes the socket when a navigation begins, whatever its outcome. The page then reconnects.
            await site.tab.evaluate("fetch('/')")
            await site.connected()
            await site.keepsFor(6)
          }
          await site.unloadsWhenClosed()
        })
      }
    }
  }

  it('navigations keep the state of the tab, and a window opened by a script has its own', async t => {
    const { origin } = await tabSite(t)
    const tab = await firefox.newTab(t)
    await tab.goto(`${origin}/`)
    assert.deepEqual(await count(tab), [1, 1])
    await tab.goto(`${origin}/other`)
    assert.deepEqual(await count(tab), [2, 2])
    await tab.goto(`${origin}/`)
    assert.deepEqual(await count(tab), [3, 3])
    await tab.evaluate('new Promise(resolve => { window.popup = open("/other"); popup.onload = resolve })')
    assert.deepEqual(await count({ evaluate: script => tab.evaluate(`popup.${script}`) }), [1, 4])
    await tab.goto(`${origin}/frame`)
    assert.deepEqual(await count(tab), [4, 5])
    assert.deepEqual(await count({ evaluate: script => tab.evaluate(`frames[0].${script}`) }), [5, 6])
  })

  it('a reload by the browser does not unload', async t => {
    const site = await slowSiteFor(t, await firefox.newTab(t))
    await site.tab.goto(`${site.origin}/`)
    await site.connected()
    const release = site.hold()
    await site.tab.reload()
    await site.replaced()
    await site.keepsFor(6)
    release()
    await site.connected()
    await site.unloadsWhenClosed()
  })
})
