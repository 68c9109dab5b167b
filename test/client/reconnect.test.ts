import assert from 'node:assert/strict'
import { describe } from 'node:test'
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
  isResolved,
  openConnected,
  openStoppedConnected,
  openStoppedTab,
  openTab,
  type Seen,
  second,
  server,
  settle,
  timesOf,
} from '../support/browser/client-site.ts'

describeClient('a page that reconnects', () => {
  describe('a lost socket', () => {
    each('is replaced at once by the same page, with a new ticket and without an event', async () => {
      const tab = await openConnected()
      const id = await idOf(tab)
      server.socket().terminate()
      await until(() => server.count('open') === 2, 'the socket opens again')
      assert.deepEqual(
        server.seen.map(({ what, page, n }) => [what, page === id, n]),
        ['post', 'upgrade', 'open', 'close', 'post', 'upgrade', 'open'].map(what => [what, true, 1]),
      )
      assert.deepEqual(await changes(tab), [])
    })

    each('is replaced at once as often as it had lasted', async () => {
      const tab = await openStoppedConnected()
      for (let losses = 1; losses <= 3; losses++) {
        await advance(tab, 25, 10)
        server.socket().send('1')
        await settle(tab)
        server.socket().terminate()
        await until(() => server.count('open') === losses + 1, 'the socket opens again')
        await settle(tab)
      }
      assert.equal(server.count('post'), 4)
    })

    each('is followed by a POST at once, even where the next socket has to wait', async () => {
      const tab = await openStoppedConnected()
      const sawAfterLoss: Seen['what'][][] = []
      for (let losses = 0; losses < 3; losses++) {
        server.seen.length = 0
        server.socket().terminate()
        await until(() => server.count('post') === 1, 'the POST')
        await settle(tab)
        sawAfterLoss.push(server.seen.map(({ what }) => what))
        await advance(tab, 5)
        await until(isOpen, 'the socket opens again')
        await settle(tab)
      }
      assert.deepEqual(sawAfterLoss, [
        ['close', 'post', 'upgrade', 'open'],
        ['close', 'post'],
        ['close', 'post'],
      ])
      assert.deepEqual(await changes(tab), [])
    })

    each('is detected after 70 s of silence, and not sooner', async () => {
      const tab = await openStoppedConnected()
      await advance(tab, 60, 10)
      server.socket().send('1')
      await settle(tab)
      await advance(tab, 69, 10)
      assert.equal(server.count('post'), 1)
      await advance(tab, 2)
      await until(() => server.count('open') === 2, 'the socket opens again')
      await settle(tab)
      await until(() => server.count('close') === 1, 'the old socket was closed')
      assert.equal(server.count('post'), 2)
      assert.notEqual(server.all('close')[0]?.code, 1000, 'which would be a goodbye')
      assert.deepEqual(await changes(tab), [])
    })

    each('needs no heartbeat while it is open', async () => {
      const tab = await openStoppedConnected()
      for (let minute = 0; minute < 3; minute++) {
        await advance(tab, 60, 10)
        server.socket().send('1')
        await settle(tab)
      }
      assert.equal(server.count('post'), 1)
    })

    each('reports when the server cannot be reached, and again when it can', async () => {
      const tab = await openStoppedConnected()
      server.onPost = () => 502
      server.socket().terminate()
      await until(async () => (await changes(tab)).length === 1, 'the event')
      assert.equal(await isConnected(tab), false)
      server.onPost = () => 200
      await advance(tab, 4)
      await until(isOpen, 'the socket opens again')
      assert.deepEqual(await changes(tab), [
        ['disconnected', null],
        ['connected', null],
      ])
      assert.equal(await isConnected(tab), true)
    })
  })

  describe('a POST that fails', () => {
    each('is repeated after 2, 4, 8, 16, 32 and then every 60 seconds', async () => {
      server.onPost = () => 500
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      await settle(tab)
      assert.deepEqual(await timesOf(tab, 'post', 185), [2, 6, 14, 30, 62, 122, 182])
    })

    each('is given up after 10 s without an answer', async () => {
      server.onPost = () => 'hang'
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('post') === 1, 'the first POST')
      assert.deepEqual(await timesOf(tab, 'post', 13), [12])
      assert.equal(server.hanging, 1, 'the connection of the first was closed')
    })

    each('is also one that was answered with anything but a ticket', async () => {
      const tab = await openStoppedTab()
      const bodies = ['null', '{}', '<p>Please sign in to this Wi-Fi</p>']
      await tab.route('**/heartbeat/**', route => {
        const body = bodies.shift()
        return body ? route.fulfill({ status: 200, body }) : route.continue()
      })
      await callConnect(tab)
      await settle(tab)
      await advance(tab, 13)
      assert.equal(await isResolved(tab), false)
      await advance(tab, 2)
      await until(isOpen, 'the socket opens')
      assert.equal(server.count('post'), 1)
    })

    each('with 409 is repeated at once in the next epoch', async () => {
      server.onPost = ({ n }) => (n < 2 ? 409 : 200)
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      const id = await idOf(tab)
      assert.deepEqual(
        server.seen.map(({ what, page, n }) => [what, page === id, n]),
        [
          ['post', true, 1],
          ['post', true, 2],
          ['upgrade', true, 2],
          ['open', true, 2],
        ],
      )
      await tab.close()
      await until(() => server.count('bye') === 1, 'the goodbye')
      assert.equal(server.all('bye')[0]?.n, 2)
    })

    each('with 409 again and again causes no storm', async () => {
      server.onPost = () => 409
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('post') === 2, 'the second POST')
      await settle(tab)
      assert.deepEqual(await timesOf(tab, 'post', 15), [4, 12])
    })
  })

  describe('where sockets do not open', () => {
    each('beats every 20 s and seldom tries a socket', async () => {
      server.onUpgrade = () => 403
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 2, 'the first socket and its repetition')
      await settle(tab)
      assert.equal(server.count('post'), 2)
      const posts: number[] = []
      const dials: number[] = []
      await advance(tab, 0.5)
      for (let at = 1; at <= 150; at++) {
        const before = [server.count('post'), server.count('upgrade')] as const
        await advance(tab, 1)
        if (server.count('post') > before[0]) posts.push(at)
        if (server.count('upgrade') > before[1]) dials.push(at)
      }
      assert.deepEqual(dials, [2, 6, 14, 30, 62, 126])
      for (const [index, at] of posts.entries()) {
        assert.ok(at - (posts[index - 1] ?? 0) <= 20, `a POST at ${at}, in ${posts}`)
      }
      assert.ok(posts.length <= 12, `${posts}`)
      assert.equal(await isConnected(tab), true)
      assert.deepEqual(await changes(tab), [])
    })

    each('takes a socket as soon as one can be had', async () => {
      server.onUpgrade = () => 403
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 2, 'the first socket and its repetition')
      await settle(tab)
      await advance(tab, 40)
      server.onUpgrade = () => 101
      await advance(tab, 25)
      await until(isOpen, 'the socket opens')
      const posts = server.count('post')
      await advance(tab, 45)
      assert.equal(server.count('post'), posts, 'no more heartbeats')
    })

    each('gives up a handshake after 10 s', async () => {
      server.onUpgrade = () => 'hang'
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 1, 'the handshake')
      await settle(tab)
      await advance(tab, 9)
      assert.equal(server.count('post'), 1)
      server.onUpgrade = () => 101
      await advance(tab, 2)
      await until(isOpen, 'the socket opens')
      assert.equal(server.count('post'), 2)
      assert.deepEqual(await changes(tab), [])
    })

    each('waits for a slow handshake', async () => {
      const tab = await openTab()
      server.upgradeDelay = 2 * second
      await callConnect(tab)
      await until(isOpen, 'the socket opens')
      await settle(tab)
      assert.deepEqual(
        server.seen.map(({ what }) => what),
        ['post', 'upgrade', 'open'],
      )
    })

    each('is no storm when each one opens and is cut at once', async () => {
      server.onOpen = socket => socket.terminate()
      const tab = await openStoppedTab()
      await callConnect(tab)
      await until(() => server.count('upgrade') === 2, 'the first socket and its repetition')
      await settle(tab)
      await advance(tab, 60)
      assert.equal(server.count('upgrade'), 6)
      assert.ok(server.count('post') <= 14, `${server.count('post')} POSTs`)
      assert.equal(await isConnected(tab), true)
    })

    each('beats also where a policy forbids them', async () => {
      const tab = await openStoppedTab()
      await tab.evaluate(() => {
        window.WebSocket = class {
          constructor() {
            throw new DOMException('Not allowed', 'SecurityError')
          }
        } as unknown as typeof WebSocket
      })
      await callConnect(tab)
      await until(() => server.count('post') === 2, 'the first POST and its repetition')
      await settle(tab)
      await advance(tab, 60)
      assert.ok(server.count('post') >= 5 && server.count('post') < 12)
      assert.equal(await isConnected(tab), true)
    })
  })

  describe('a socket that the server closes', () => {
    each('with 4000: the reason is reported, then the page connects again', async () => {
      const tab = await openStoppedConnected()
      const id = await idOf(tab)
      server.socket().close(4000, 'ended')
      await until(async () => (await changes(tab)).length === 1, 'the event')
      assert.deepEqual(await changes(tab), [['disconnected', 'ended']])
      assert.equal(await isConnected(tab), false)
      await advance(tab, 2)
      await until(() => server.count('open') === 2, 'the socket opens again')
      await settle(tab)
      assert.deepEqual((await changes(tab)).at(-1), ['connected', null])
      assert.equal(server.all('post')[1]?.page, id)
    })

    each('when the framework session has expired: the next request of the app goes first', async () => {
      const tab = await openStoppedConnected()
      server.socket().close(4000, 'expired')
      await until(async () => (await changes(tab)).length === 1, 'the event')
      assert.deepEqual(await changes(tab), [['disconnected', 'expired']])
      await advance(tab, 19)
      assert.equal(server.count('post'), 1)
      await advance(tab, 3)
      await until(() => server.count('open') === 2, 'the socket opens again')
    })

    each('with 4000: the answer that brings the next session has half a second', async () => {
      const tab = await openStoppedConnected()
      server.socket().close(4000, 'regenerated')
      await until(async () => (await changes(tab)).length === 1, 'the event')
      await advance(tab, 0.4)
      assert.equal(server.count('post'), 1)
      await advance(tab, 0.2)
      await until(() => server.count('open') === 2, 'the socket opens again')
    })

    each('with 1012: the page is soon back', async () => {
      const tab = await openStoppedConnected()
      const id = await idOf(tab)
      server.socket().close(1012)
      await until(async () => (await changes(tab)).length === 1, 'the event')
      await advance(tab, 2)
      await until(() => server.count('open') === 2, 'the socket opens again')
      assert.equal(server.all('open')[1]?.page, id)
      await settle(tab)
      assert.deepEqual(await changes(tab), [
        ['disconnected', null],
        ['connected', null],
      ])
    })
  })
})
