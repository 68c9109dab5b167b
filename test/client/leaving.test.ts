import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { Page as Tab } from 'playwright-core'
import { until } from '../support/browser/browser.ts'
import {
  advance,
  callConnect,
  changes,
  describeClient,
  each,
  idOf,
  isConnected,
  isOpen,
  openConnected,
  openStoppedConnected,
  openStoppedTab,
  openTab,
  server,
  settle,
} from '../support/browser/client-site.ts'

describeClient('a page that is left', () => {
  describe('waking', () => {
    const wakes: Record<string, () => void> = {
      'the network returns': () => dispatchEvent(new Event('online')),
      'the tab is shown': () => document.dispatchEvent(new Event('visibilitychange')),
      'the tab is thawed': () => document.dispatchEvent(new Event('resume')),
    }

    for (const [when, wake] of Object.entries(wakes)) {
      each(`tries again at once when ${when}`, async () => {
        const tab = await openStoppedConnected()
        server.onPost = () => 502
        server.socket().terminate()
        await advance(tab, 30)
        server.onPost = () => 200
        const posts = server.count('post')
        await tab.evaluate(wake)
        await until(isOpen, 'the socket opens again')
        assert.equal(server.count('post'), posts + 1)
      })

      each(`replaces a socket that was silent for 30 s when ${when}`, async () => {
        const tab = await openStoppedConnected()
        for (let frame = 0; frame < 2; frame++) {
          server.socket().send('1')
          await settle(tab)
          await advance(tab, 29, 10)
          await tab.evaluate(wake)
          await settle(tab)
        }
        assert.equal(server.count('post'), 1)
        await advance(tab, 2)
        await tab.evaluate(wake)
        await until(() => server.count('open') === 2, 'the socket opens again')
        assert.equal(server.count('post'), 2)
      })
    }

    each('does nothing when the tab is hidden', async () => {
      server.onUpgrade = () => 403
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 2, 'the first socket and its repetition')
      await settle(tab)
      await tab.evaluate(() => {
        Object.defineProperty(document, 'hidden', { value: true })
        document.dispatchEvent(new Event('visibilitychange'))
      })
      await settle(tab)
      assert.equal(server.count('post'), 2)
    })

    each('leaves the first POST alone: a second would make a second session', async () => {
      server.onPost = () => 'hang'
      const tab = await openTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      for (const wake of Object.values(wakes)) await tab.evaluate(wake)
      await settle(tab)
      assert.equal(server.count('post'), 1)
    })
  })

  describe('leaving', () => {
    each('says goodbye when the tab is closed', async () => {
      const tab = await openConnected()
      const id = await idOf(tab)
      await tab.close()
      await until(() => server.count('bye') === 1 && server.count('close') === 1, 'the goodbye')
      assert.deepEqual(server.all('bye'), [
        { what: 'bye', page: id, n: 1, cookie: 'visitor=1', method: 'POST' },
      ])
      assert.equal(server.count('post'), 1, 'nothing after it')
    })

    each('says goodbye when the page is left for another site, and closes the socket with 1000', async () => {
      const tab = await openStoppedConnected()
      const id = await idOf(tab)
      await tab.goto(`http://app.test:${server.port}/`)
      await until(() => server.count('bye') === 1 && server.count('close') === 1, 'the goodbye')
      assert.equal(server.all('bye')[0]?.page, id)
      assert.equal(server.all('close')[0]?.code, 1000)
    })

    const leave: Record<string, [(tab: Tab) => Promise<unknown>, within: boolean]> = {
      'a reload': [tab => tab.reload(), true],
      'a reload by a script': [tab => run(tab, 'location.reload()'), true],
      'a link': [tab => run(tab, 'element("a", { href: "/next" }).click()'), true],
      'a form': [tab => run(tab, 'element("form", { method: "post", action: "/next" }).submit()'), true],
      'an address of the same origin': [tab => tab.goto(`${server.url}/next`), true],
      'the page before': [tab => run(tab, 'history.back()'), true],
      'a link to another host': [
        tab => run(tab, `element("a", { href: "http://app.test:${server.port}" }).click()`),
        false,
      ],
      'a closed tab': [tab => tab.close({ runBeforeUnload: true }), false],
    }
    const run = (tab: Tab, script: string) =>
      tab.evaluate(`{
        const element = (name, attributes) => document.body.appendChild(Object.assign(document.createElement(name), attributes))
        setTimeout(() => ${script})
      }`)
    for (const [name, [move, within]] of Object.entries(leave)) {
      each(
        `says ${within ? 'that the next page is of the same origin' : 'nothing more'}: ${name}`,
        async () => {
          const tab = await openTab(`${server.url}/before`)
          await tab.goto(server.url)
          await callConnect(tab)
          await until(isOpen, 'the socket opens')
          await move(tab)
          await until(() => server.count('bye') === 1 && server.count('close') === 1, 'the goodbye')
          assert.deepEqual(
            [
              server.all('bye')[0]?.within ?? false,
              server.all('close')[0]?.within,
              server.all('close')[0]?.code,
            ],
            [within, within, 1000],
          )
        },
      )
    }

    each('calls nothing before the beacon, and sends nothing after it', async () => {
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      await settle(tab)
      const calls = await tab.evaluate(() => {
        const calls: string[] = []
        const targets: [object, string][] = [
          [navigator, 'sendBeacon'],
          [WebSocket.prototype, 'close'],
          [window, 'clearTimeout'],
          [EventTarget.prototype, 'dispatchEvent'],
          [Date, 'now'],
        ]
        for (const [target, name] of targets) {
          const original = Reflect.get(target, name)
          Reflect.set(target, name, function (this: unknown, ...args: unknown[]) {
            calls.push(name)
            return original.apply(this, args)
          })
        }
        window.dispatchEvent(new PageTransitionEvent('pagehide'))
        return calls
      })
      assert.equal(calls[1], 'sendBeacon', `after the test's own dispatchEvent: ${calls}`)
      assert.ok(calls.includes('close'))
      // On the close of a visible tab it comes after `pagehide`.
      await tab.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
      await tab.evaluate(() => document.dispatchEvent(new Event('resume')))
      await tab.evaluate(() => window.dispatchEvent(new Event('online')))
      await advance(tab, 80)
      assert.equal(server.count('post'), 1)
      assert.equal(server.count('bye'), 1)
      assert.equal(server.count('open'), 1)
      assert.deepEqual(await changes(tab), [['disconnected', 'pagehide']])
    })

    each('gives up a POST that is under way, and its connection', async () => {
      server.onPost = () => 'hang'
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      await tab.evaluate(() => {
        window.dispatchEvent(new PageTransitionEvent('pagehide'))
      })
      await until(() => server.hanging === 0, 'the connection is closed')
      await advance(tab, 60, 5)
      assert.equal(server.count('post'), 1)
    })

    each('still closes the socket where beacons were taken away', async () => {
      const tab = await openStoppedConnected()
      await tab.evaluate(() => {
        Object.defineProperty(navigator, 'sendBeacon', { value: undefined })
        window.dispatchEvent(new PageTransitionEvent('pagehide'))
      })
      await until(() => server.count('close') === 1, 'the socket is closed')
      assert.equal(server.all('close')[0]?.code, 1000)
    })
  })
})

describeClient(
  'the back/forward cache',
  () => {
    each('keeps the page, which returns in its next epoch with one socket', async () => {
      const tab = await openTab()
      await tab.evaluate(() => {
        window.shows = []
        addEventListener('pageshow', ({ persisted }) => window.shows.push(persisted))
      })
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      const id = await idOf(tab)
      for (const n of [2, 3, 4]) {
        await tab.goto(`${server.url}/elsewhere`)
        await until(() => server.count('bye') === n - 1 && server.sockets.size === 0, 'the goodbye')
        await tab.goBack({ waitUntil: 'commit' })
        await until(isOpen, 'the socket opens again')
        assert.equal(await idOf(tab), id)
        assert.equal((await tab.evaluate(() => window.shows)).at(-1), true)
        assert.deepEqual(
          [server.all('bye'), server.all('post'), server.all('open')].map(all => all.at(-1)?.n),
          [n - 1, n, n],
        )
      }
      await settle(tab)
      assert.equal(server.sockets.size, 1)
      assert.equal(server.count('post'), 4)
      assert.equal(new Set(server.seen.map(({ page }) => page)).size, 1)
      assert.equal(await isConnected(tab), true)
    })

    each('keeps a page whose first POST was not answered yet', async () => {
      server.onPost = () => 'hang'
      const tab = await openTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      await tab.goto(`${server.url}/elsewhere`)
      server.onPost = () => 200
      await tab.goBack({ waitUntil: 'commit' })
      await until(isOpen, 'the socket opens')
      assert.equal(await isConnected(tab), true)
      assert.equal(server.all('open')[0]?.n, 2)
    })
  },
  { hasWindows: true },
)
