import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { describe } from 'node:test'
import type { Page as Tab } from 'playwright-core'
import { until } from '../support/browser/browser.ts'
import {
  advance,
  callConnect,
  context,
  describeClient,
  each,
  isConnected,
  isOpen,
  openConnected,
  openStoppedConnected,
  server,
  settle,
  startServer,
} from '../support/browser/client-site.ts'
import { deferred } from '../support/sessions/harness.ts'

const TAB_ID = /^[\w-]{22,64}$/

/** Sends requests with `page.fetch`. @returns the result of each: the status, or the name of the error */
function send(tab: Tab, ...urls: string[]): Promise<unknown[]> {
  return tab.evaluate(async urls => {
    const page = await window.gradio
    return Promise.all(
      urls.map(url =>
        page.fetch(url, { method: 'POST' }).then(
          ({ status }) => status,
          (error: Error) => error.name,
        ),
      ),
    )
  }, urls)
}

/** The tab that each request named, and the path of the request. */
const named = ({ all } = server) => all('request').map(({ tab, page }) => [tab, page])

const idOfTab = () => server.all('post')[0]?.tab

describeClient('the tab', () => {
  describe('page.fetch', () => {
    each('names the tab to the server, as heartbeats do', async () => {
      const tab = await openConnected()
      assert.deepEqual(await send(tab, '/app/a', `${server.url}/app/b`), [200, 200])
      assert.match(String(idOfTab()), TAB_ID)
      assert.deepEqual(named().sort(), [
        [idOfTab(), '/app/a'],
        [idOfTab(), '/app/b'],
      ])
      const headers = await tab.evaluate(async () => (await window.gradio).headers)
      assert.deepEqual(headers, { 'Gradio-State-Tab': idOfTab() })
    })

    each('sends the body and the headers of a Request', async () => {
      const tab = await openConnected()
      const { promise, resolve } = deferred<unknown[]>()
      server.onRequest = request => {
        const { method, headers } = request
        void text(request).then(body =>
          resolve([method, headers['x-mine'], headers['gradio-state-tab'], body]),
        )
      }
      await tab.evaluate(async () => {
        const { fetch } = await window.gradio
        const body = new FormData()
        body.append('field', 'before')
        const sent = fetch(new Request('/app/body', { method: 'PUT', body, headers: { 'X-Mine': 'yes' } }))
        body.set('field', 'after')
        await sent
      })
      const [method, mine, id, body] = await promise
      assert.deepEqual([method, mine, id], ['PUT', 'yes', idOfTab()])
      assert.match(String(body), /before/)
    })

    each('does not name it to another origin, even through a <base>', async () => {
      const elsewhere = await startServer({ allowOrigin: server.url })
      try {
        const tab = await openConnected()
        assert.deepEqual(await send(tab, `${elsewhere.url}/app/a`), [200])
        await tab.evaluate(url => {
          document.head.append(Object.assign(document.createElement('base'), { href: `${url}/` }))
        }, elsewhere.url)
        assert.deepEqual(await send(tab, '/app/b'), [200])
        await tab.evaluate(async () => {
          const page = await window.gradio
          await page.upload(new Blob(['c']), { url: '/app/c' })
          await page.upload(new Blob(['d']), { url: `${new URL(location.href).origin}/app/d` })
        })
        assert.deepEqual(named(elsewhere), [
          [undefined, '/app/a'],
          [undefined, '/app/b'],
          [undefined, '/app/c'],
        ])
        assert.deepEqual(named(), [[idOfTab(), '/app/d']])
      } finally {
        await elsewhere.close()
      }
    })

    each('names it to a server of another origin, with cookies', async () => {
      const routes = await startServer({ allowOrigin: server.url })
      try {
        const tab = await openConnected(`${routes.url}/gradio_api`, () => routes.sockets.size === 1)
        assert.deepEqual(await send(tab, `${routes.url}/app/a`, '/app/b'), [200, 200])
        const [request] = routes.all('request')
        assert.match(String(request?.tab), TAB_ID)
        assert.equal(request?.tab, routes.all('post')[0]?.tab)
        assert.equal(request?.cookie, 'visitor=1')
        assert.deepEqual(named(), [[undefined, '/app/b']])
      } finally {
        await routes.close()
      }
    })

    each('waits until the page is connected again', async () => {
      const tab = await disconnected()
      const sent = send(tab, '/app/a')
      await advance(tab, 2)
      assert.equal(server.count('request'), 0)
      server.onPost = () => 200
      await advance(tab, 4)
      assert.deepEqual(await sent, [200])
      assert.equal(server.count('request'), 1)
    })

    each('sends the request after 10 s if the page can not connect', async () => {
      const tab = await disconnected()
      const sent = send(tab, '/app/a')
      await advance(tab, 9)
      assert.equal(server.count('request'), 0)
      await advance(tab, 2)
      assert.deepEqual(await sent, [200])
      assert.equal(await isConnected(tab), false)
    })

    each('rejects when its signal aborts while it waits', async () => {
      const tab = await disconnected()
      const outcome = await tab.evaluate(async () => {
        const { fetch } = await window.gradio
        const aborting = new AbortController()
        const sent = fetch('/app/a', { signal: aborting.signal }).catch((error: Error) => error.name)
        aborting.abort()
        return [await sent, await fetch('http://[').catch((error: Error) => error.name)]
      })
      assert.deepEqual(outcome, ['AbortError', 'TypeError'])
      await settle(tab)
      assert.equal(server.count('request'), 0)
    })

    each('sends at once while the browser leaves the page', async () => {
      const tab = await openConnected()
      await tab.evaluate(async () => {
        const page = await window.gradio
        addEventListener('pagehide', () => {
          void page.fetch('/app/last', { method: 'POST', keepalive: true })
        })
      })
      await tab.goto(`${server.url}/elsewhere`)
      await until(() => server.count('request') === 1, 'the request')
      assert.deepEqual(named(), [[idOfTab(), '/app/last']])
    })
  })

  each('is in sessionStorage only between two documents', async () => {
    const tab = await openConnected()
    const stored = () => tab.evaluate(() => sessionStorage.getItem('gradio-state-tab'))
    assert.equal(await stored(), null)
    await tab.goto(`${server.url}/without`)
    assert.equal(await stored(), idOfTab())
    await callConnect(tab)
    await until(isOpen, 'the socket opens')
    assert.equal(await stored(), null)
    assert.equal(server.all('post').at(-1)?.tab, idOfTab())
  })

  each('is not taken by a prerendered page before it is shown', async () => {
    const tab = await openConnected()
    await tab.goto(`${server.url}/without`)
    await tab.evaluate(() => {
      Object.defineProperty(document, 'prerendering', { value: true })
    })
    await callConnect(tab)
    assert.equal(await tab.evaluate(() => sessionStorage.length), 1)
    await tab.evaluate(() => document.dispatchEvent(new Event('prerenderingchange')))
    await until(isOpen, 'the socket opens')
    assert.equal(server.all('post').at(-1)?.tab, idOfTab())
  })

  each('starts anew with storage that is full', async () => {
    const tab = await context.newPage()
    await tab.addInitScript(() => {
      Storage.prototype.setItem = () => {
        throw new DOMException('Full', 'QuotaExceededError')
      }
    })
    for (const times of [1, 2]) {
      await tab.goto(server.url)
      await callConnect(tab)
      await until(() => server.count('open') === times, 'the socket opens')
    }
    const [first, second] = server.all('post')
    assert.notEqual(first?.tab, second?.tab)
  })
})

/** A page that was connected; the server then refuses it. */
async function disconnected(): Promise<Tab> {
  const tab = await openStoppedConnected()
  server.onPost = () => 503
  server.socket().terminate()
  await until(async () => !(await isConnected(tab)), 'the page is not connected')
  await settle(tab)
  return tab
}
