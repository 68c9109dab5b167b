// Reloads, links and forms in a real browser. The server's clock stands still unless a test advances it.

import { describe, it } from 'node:test'
import { useBrowser } from '../support/browser/browser.ts'
import {
  begin,
  click,
  form,
  hosts,
  type Move,
  reload,
  run,
  speculates,
  submit,
  worker,
} from '../support/browser/moves.ts'
import { html, slowSite } from '../support/browser/slow-site.ts'

/** The next page loads, but its script doesn't. */
const moves: Record<string, Move> = {
  'a reload': { move: reload },
  'a reload by a script': { move: ({ tab }) => run(tab, 'location.reload()') },
  'a reload through a service worker, network first': {
    ...worker('event => fetch(event.request)'),
    move: reload,
  },
  'a reload through a service worker that clones the request': {
    ...worker('event => fetch(new Request(event.request.clone()))'),
    move: reload,
  },
  'a reload through a service worker that fetches the bare URL': {
    isSilent: true,
    ...worker('event => fetch(event.request.url)'),
    move: reload,
  },
  'a reload from the cache of a service worker': {
    isSilent: true,
    ...worker("event => caches.match('/')"),
    move: reload,
  },
  'a reload from the cache of a service worker, which then fetches the page anew': {
    ...worker('event => { event.waitUntil(fetch(event.request)); return caches.match("/") }'),
    move: reload,
  },
  'a reload of HTML from another server': { isSilent: true, htmlFromElsewhere: true, move: reload },
  'a link to HTML from another server': {
    isSilent: true,
    htmlFromElsewhere: true,
    move: ({ tab }) => click(tab, '<a href="/?next">next</a>'),
  },
  'a form that is answered with a page': {
    routes: app => void app.post('/search', (_req, res) => res.send(html())),
    move: ({ tab }) => submit(tab, form),
  },
  'a form that is answered with a page by writeHead': {
    routes: app =>
      void app.post('/search', (_req, res) =>
        res.writeHead(200, { 'Content-Type': 'text/html' }).end(html()),
      ),
    move: ({ tab }) => submit(tab, form),
  },
  'a form that is redirected': {
    routes: app => void app.post('/search', (_req, res) => res.redirect(303, '/?found')),
    move: ({ tab }) => submit(tab, form),
  },
  'a form that is sent by a service worker': {
    ...worker('event => fetch(event.request)'),
    routes(app, site) {
      worker('event => fetch(event.request)').routes?.(app, site)
      app.post('/search', (_req, res) => res.send(html()))
    },
    move: ({ tab }) => submit(tab, form),
  },
  'a page of XHTML': {
    routes: app =>
      void app.get('/next', (_req, res) =>
        res.writeHead(200, ['Content-Type', 'application/xhtml+xml']).end(html()),
      ),
    move: ({ tab }) => click(tab, '<a href="/next">next</a>'),
  },
  'an error with a page': {
    routes: app => void app.get('/next', (_req, res) => res.status(500).send(html())),
    move: ({ tab }) => click(tab, '<a href="/next">next</a>'),
  },
  'a page that refreshes itself': {
    move: ({ tab }) =>
      run(
        tab,
        `document.head.insertAdjacentHTML('beforeend', '<meta http-equiv="refresh" content="0; url=/?next">')`,
      ),
  },
  'the page before, from the HTTP cache': {
    isSilent: true,
    prepare: async site => {
      await site.tab.evaluate('addEventListener("unload", () => {})')
      await site.tab.goto(`${site.origin}/?second`)
      await site.connected()
    },
    move: ({ tab }) => run(tab, 'history.back()'),
  },
}

const browser = useBrowser()

describe('no unload, although the script of the next page takes 6 s to load:', { concurrency: 4 }, () => {
  for (const [name, move] of Object.entries(moves)) {
    for (const host of hosts(move)) {
      for (const announces of move.isSilent ? [true] : [true, false]) {
        it(`${name}, on ${host}${announces ? '' : ', in a browser without pageswap'}`, async t => {
          const site = await slowSite(t, browser, { host, ...move })
          if (!announces) await site.tab.addInitScript(WITHOUT_PAGESWAP)
          await begin(site, move)
          const release = site.hold()
          await move.move(site)
          await site.replaced()
          await site.keepsFor(6)
          release()
          await site.connected()
          await site.unloadsWhenClosed()
        })
      }
    }
  }

  it('a reload while the server takes 6 s', async t => {
    const site = await slowSite(t, browser, {
      routes: (app, { gate }) => void app.get('/', (_req, _res, next) => void gate().then(() => next())),
    })
    await begin(site, { move: reload })
    const release = site.hold()
    const reloaded = reload(site)
    await site.requested('GET /')
    await site.keepsFor(6)
    release()
    await reloaded
    await site.connected()
    await site.unloadsWhenClosed()
  })

  it('a link to a page that was prerendered', async t => {
    const site = await slowSite(t, browser, {
      routes: app => void app.get('/next', (_req, res) => res.send(html())),
    })
    await begin(site, { move: reload })
    await speculates(site, 'prerender')
    await click(site.tab, '<a href="/next">next</a>')
    await site.tab.waitForURL('**/next')
    await site.connected()
    await site.keepsFor(6)
    await site.unloadsWhenClosed()
  })

  it('a link to a new tab, whose opener is then closed', async t => {
    const site = await slowSite(t, browser)
    await begin(site, { move: reload })
    const release = site.hold()
    const [opened] = await Promise.all([
      site.tab.context().waitForEvent('page'),
      click(site.tab, '<a href="/?next" target="_blank">next</a>'),
    ])
    await site.requested('GET /slow.js')
    await site.tab.close()
    await site.replaced()
    await site.keepsFor(6)
    release()
    await site.connected(1, opened)
    await site.unloadsWhenClosed(opened)
  })
})

/** Most browsers have no `pageswap`. */
const WITHOUT_PAGESWAP = `addEventListener('pageswap', event => event.stopImmediatePropagation(), { capture: true })`
