import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { connect } from '../../lib/client/index.ts'
import { until } from '../support/browser/browser.ts'
import {
  advance,
  buildScript,
  callConnect,
  context,
  describeClient,
  each,
  idOf,
  isConnected,
  isOpen,
  isResolved,
  openConnected,
  openStoppedTab,
  openTab,
  server,
  settle,
  startServer,
} from '../support/browser/client-site.ts'

const maxGzipSize = 3072

describeClient('client', () => {
  describe('the module', () => {
    it('can be imported in Node.js, where connect() rejects with the reason', async () => {
      await assert.rejects(connect(), /needs a browser/)
    })

    it(`has at most ${maxGzipSize} bytes, minified and gzipped`, async () => {
      const { length } = gzipSync(await buildScript(true))
      assert.ok(length <= maxGzipSize, `${length} bytes`)
    })

    each('rejects a base that is no http address', async () => {
      const tab = await openTab()
      const message = await tab.evaluate(async () => {
        const client: string = '/client.js'
        const { connect } = await import(client)
        return connect('file:///gradio_api').catch((error: Error) => `${error.name}: ${error.message}`)
      })
      assert.equal(message, 'TypeError: Expected an http(s) base, received file:///gradio_api')
    })

    each('gives one promise for one base, even to a second copy of itself', async () => {
      const tab = await openTab()
      await callConnect(tab)
      const same = await tab.evaluate(async () => {
        const [client, copy]: string[] = ['/client.js', '/copy.js']
        const one = await import(client as string)
        const two = await import(copy as string)
        return [
          one.connect === two.connect,
          one.connect('/gradio_api') === window.gradio,
          one.connect(new URL('/gradio_api/?a#b', location.href)) === window.gradio,
          two.connect() === window.gradio,
          one.connect('/elsewhere') === window.gradio,
        ]
      })
      assert.deepEqual(same, [false, true, true, true, false])
      await until(isOpen, 'the socket opens')
      await settle(tab)
      assert.equal(server.count('post'), 1)
    })

    each('listens to neither unload nor beforeunload', async () => {
      const tab = await context.newPage()
      await tab.addInitScript(() => {
        window.listeners = []
        const { addEventListener } = EventTarget.prototype
        EventTarget.prototype.addEventListener = function (...args) {
          window.listeners.push(args[0])
          addEventListener.apply(this, args)
        }
      })
      await tab.goto(server.url)
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      const { listeners, handlers } = await tab.evaluate(() => ({
        listeners: window.listeners,
        handlers: [window.onunload, window.onbeforeunload],
      }))
      assert.ok(listeners.includes('pagehide'))
      assert.ok(!listeners.includes('unload') && !listeners.includes('beforeunload'))
      assert.deepEqual(handlers, [null, null])
    })
  })

  describe('opening', () => {
    each('posts, has the cookie, and opens a socket with the ticket', async () => {
      const tab = await openConnected()
      const [post, upgrade, open, ...more] = server.seen
      const id = await idOf(tab)
      assert.match(id, /^[A-Za-z0-9_-]{1,64}$/)
      assert.match(String(post?.tab), /^[A-Za-z0-9_-]{22,64}$/)
      assert.deepEqual(post, {
        what: 'post',
        page: id,
        n: 1,
        cookie: undefined,
        method: 'POST',
        proof: 'page',
        tab: post?.tab,
      })
      assert.deepEqual(upgrade, { what: 'upgrade', page: id, n: 1 })
      assert.deepEqual(open, { what: 'open', page: id, n: 1 })
      assert.deepEqual(more, [])
      assert.equal(await isConnected(tab), true)
      assert.equal((await context.cookies())[0]?.name, 'visitor')
    })

    each('resolves when the first POST was answered, before there is a socket', async () => {
      server.onUpgrade = () => 'hang'
      const tab = await openTab()
      await callConnect(tab)
      await tab.evaluate(() => window.gradio)
      assert.equal(await isConnected(tab), true)
      assert.equal((await context.cookies()).length, 1)
      assert.equal(server.count('open'), 0)
    })

    each('keeps trying until a POST is answered, and only then resolves', async () => {
      server.onPost = () => 503
      const tab = await openStoppedTab()
      await callConnect(tab)
      await advance(tab, 20)
      assert.ok(server.count('post') > 2)
      assert.equal(await isResolved(tab), false)
      server.onPost = () => 200
      await advance(tab, 60)
      assert.equal(await isResolved(tab), true)
    })

    each('works on an origin that is not secure', async () => {
      const tab = await openTab(`http://app.test:${server.port}/`)
      assert.equal(await tab.evaluate(() => isSecureContext || 'randomUUID' in crypto), false)
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      const id = await idOf(tab)
      await tab.close()
      await until(() => server.count('bye') === 1, 'the goodbye')
      assert.equal(server.all('bye')[0]?.page, id)
      assert.deepEqual(
        server.all('post').map(({ proof }) => proof),
        ['page'],
      )
    })

    each('works with routes of another origin, with their cookie', async () => {
      const routes = await startServer({ prefix: '/app/routes', allowOrigin: server.url })
      try {
        const tab = await openTab()
        await callConnect(tab, `${routes.url}/app/routes/`)
        await until(() => routes.sockets.size === 1, 'the socket opens')
        const id = await idOf(tab)
        for (const socket of routes.sockets) socket.terminate()
        await until(() => routes.count('open') === 2, 'the socket opens again')
        await tab.close()
        await until(() => routes.count('bye') === 1, 'the goodbye')
        assert.deepEqual(
          // Only the server's own origin can be proved.
          routes.all('post').map(({ method, cookie, proof }) => [method, cookie, proof]),
          [
            ['POST', undefined, undefined],
            ['POST', 'visitor=1', undefined],
          ],
        )
        assert.deepEqual(routes.all('bye'), [
          { what: 'bye', page: id, n: 1, cookie: 'visitor=1', method: 'POST' },
        ])
        assert.deepEqual(server.seen, [])
      } finally {
        await routes.close()
      }
    })

    each('waits until a prerendered page is shown', async () => {
      const tab = await context.newPage()
      // Simulates prerendering, which automation can't trigger.
      await tab.addInitScript(() => {
        Object.defineProperty(document, 'prerendering', { value: true, writable: true })
      })
      await tab.goto(server.url)
      await callConnect(tab)
      await tab.evaluate(() => {
        dispatchEvent(new PageTransitionEvent('pageshow'))
        dispatchEvent(new Event('online'))
        dispatchEvent(new PageTransitionEvent('pagehide'))
      })
      await settle(tab)
      assert.deepEqual(server.seen, [])
      await tab.evaluate(() => document.dispatchEvent(new Event('prerenderingchange')))
      await until(isOpen, 'the socket opens')
    })
  })

  describe('the page id', () => {
    each('differs between two tabs', async () => {
      const tabs = [await openTab(), await openTab()]
      for (const tab of tabs) await callConnect(tab)
      const ids = await Promise.all(tabs.map(idOf))
      assert.notEqual(ids[0], ids[1])
    })

    each('is new after a reload, and the old one has said goodbye', async () => {
      const tab = await openConnected()
      const id = await idOf(tab)
      await tab.reload()
      await callConnect(tab)
      const next = await idOf(tab)
      assert.notEqual(next, id)
      await until(() => server.count('bye') === 1 && isOpen(), 'one page went and one came')
      assert.equal(server.all('bye')[0]?.page, id)
      assert.equal(server.all('open').at(-1)?.page, next)
    })

    each('is in no storage that a duplicated tab gets a copy of', async () => {
      const tab = await openConnected()
      assert.deepEqual(await tab.evaluate(() => [sessionStorage.length, localStorage.length, name]), [
        0,
        0,
        '',
      ])
    })
  })
})
