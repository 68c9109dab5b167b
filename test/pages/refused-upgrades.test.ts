// Invalid upgrades below the library's routes: answered as requests, in order, and closed whatever the peer does.

import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { it, type TestContext } from 'node:test'
import { forEachExpress, type Served, site, until } from '../support/http/express.ts'
import { nodes, roamingUser } from '../support/http/nodes.ts'
import { heartbeat } from '../support/pages/handshake.ts'
import { request, WEBSOCKET } from '../support/pages/upgrade-setups.ts'

/** A peer that always keeps its half of the connection open. */
interface Peer {
  readonly socket: Socket
  /** Whether the server has a socket for it. */
  readonly isHeld: () => boolean
  text: string
  isEnded: boolean
}

function peerOf(t: TestContext, { port, sockets }: Served, ...requests: string[]): Peer {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  t.after(() => socket.destroy())
  let own: number | undefined
  socket.once('connect', () => {
    own = socket.localPort
  })
  const isHeld = () => [...sockets].some(({ remotePort }) => remotePort === own)
  const peer: Peer = { socket, isHeld, text: '', isEnded: false }
  socket.on('error', () => {})
  socket.on('end', () => {
    peer.isEnded = true
  })
  socket.setEncoding('latin1').on('data', data => {
    peer.text += data
  })
  socket.write(requests.join(''), 'latin1')
  return peer
}

/** The upgrade of a page's socket. */
function upgrade(page: string, query: string, headers = ''): string {
  return request(`GET /gradio_api/heartbeat/${page}?${query}`, WEBSOCKET + headers)
}

const statuses = ({ text }: Peer) =>
  [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))

/** A site that has received a request, so its server has the hook, with a ticket for `page`. */
async function opened(t: TestContext, express: Parameters<Parameters<typeof forEachExpress>[0]>[1]) {
  const slow: (() => void)[] = []
  const served = await site(t, express, {
    routes(app) {
      app.get('/slow', (_req, res) => void slow.push(() => res.end('slow')))
      app.get('/quick', (_req, res) => res.end('quick'))
    },
  })
  const { ticket } = await heartbeat(served.visitor(), 'page')
  return { served, ticket, slow }
}

/** Replaces a method without keeping the original. */
function replaceForGood(server: Server, name: 'emit' | 'listenerCount'): void {
  Reflect.set(server, name, Reflect.get(EventEmitter.prototype, name))
  if (name === 'emit') server.on('upgrade', () => assert.fail('Expected no upgrade'))
}

forEachExpress((_name, express) => {
  it('each response says what is wrong, and the connection is closed although the peer keeps its half open', async t => {
    const { served, ticket } = await opened(t, express)
    const wrong: [number, string][] = [
      [401, upgrade('page', 'n=1')],
      [401, upgrade('page', 'n=1&ticket=guess')],
      [409, upgrade('other', `n=1&ticket=${ticket}`)],
      [409, upgrade('page', `n=2&ticket=${ticket}`)],
      [426, upgrade('page', `n=1&ticket=${ticket}`, 'Content-Length: 4\r\n').concat('body')],
      [
        426,
        request(`GET /gradio_api/heartbeat/page?n=1&ticket=${ticket}`, WEBSOCKET.replace('websocket', 'h2c')),
      ],
    ]
    const peers = wrong.map(([, text]) => peerOf(t, served, text))
    await until(() => peers.every(({ isEnded }) => isEnded), 'their ends')
    assert.deepEqual(
      peers.map(statuses),
      wrong.map(([status]) => [status]),
    )
    await until(() => !peers.some(({ isHeld }) => isHeld()), 'no sockets are left')
    assert.equal(served.gradio.stats().pages, 1)
    // None of them has used the ticket.
    assert.equal((await answerOf(t, served, upgrade('page', `n=1&ticket=${ticket}`))).at(-1), 101)
  })

  it('300 at once leave no socket', async t => {
    const { served } = await opened(t, express)
    const peers = Array.from({ length: 300 }, () => peerOf(t, served, upgrade('page', 'n=1&ticket=guess')))
    await until(() => peers.every(({ isEnded }) => isEnded), 'their ends')
    await until(() => !peers.some(({ isHeld }) => isHeld()), 'no sockets are left')
  })

  it('an upgrade behind a pending response is answered in its turn, even with a valid ticket', async t => {
    const { served, ticket, slow } = await opened(t, express)
    for (const query of [`n=1&ticket=${ticket}`, 'n=1&ticket=guess']) {
      const peer = peerOf(t, served, request('GET /slow'), upgrade('page', query), request('GET /quick'))
      await until(() => slow.length === 1)
      const { text } = peer
      slow.pop()?.()
      await until(() => peer.isEnded, 'the end')
      assert.equal(text, '')
      assert.deepEqual(statuses(peer), query.endsWith('guess') ? [200, 401] : [200, 426])
      assert.ok(peer.text.indexOf('slow') < peer.text.lastIndexOf('HTTP/1.1'))
      await until(() => !peer.isHeld(), 'no socket is left')
    }
    assert.equal(served.gradio.stats().pages, 1)
  })

  it('the connection of an upgrade behind a response that never comes is closed with its peer', async t => {
    const { served, ticket, slow } = await opened(t, express)
    const peer = peerOf(t, served, request('GET /slow'), upgrade('page', `n=1&ticket=${ticket}`))
    await until(() => slow.length === 1)
    peer.socket.resetAndDestroy()
    await until(() => !peer.isHeld(), 'no socket is left')
  })

  it('an upgrade of another library behind a pending response is left to the server', async t => {
    const { served, slow } = await opened(t, express)
    const seen: string[] = []
    served.server.on('upgrade', (req, socket) => {
      seen.push(`${req.url}`)
      socket.destroy()
    })
    const peer = peerOf(t, served, request('GET /slow'), request('GET /theirs', WEBSOCKET))
    await until(() => peer.isEnded || peer.socket.closed, 'the end')
    assert.deepEqual([seen, slow.length], [['/theirs'], 1])
  })

  for (const name of ['emit', 'listenerCount'] as const) {
    it(`if other code has replaced ${name} since, the library's upgrade is a plain request, and its page continues with heartbeats`, async t => {
      const { served, ticket } = await opened(t, express)
      replaceForGood(served.server, name)
      const good = upgrade('page', `n=1&ticket=${ticket}`)
      // Newer versions of Node.js ask another method, and only check this one before.
      assert.deepEqual(await answerOf(t, served, good), [426])
      assert.equal(served.gradio.stats().pages, 1)
    })
  }
})

async function answerOf(t: TestContext, served: Served, text: string): Promise<number[]> {
  const peer = peerOf(t, served, text)
  await until(() => statuses(peer).length > 0, 'an answer')
  return statuses(peer)
}

for (const leaves of [false, true]) {
  it(`a page that another node doesn't hand over is abandoned, when its peer ${leaves ? 'has gone' : 'waits'}`, async t => {
    const all = await nodes(t, 2, {})
    const [a, b] = [all[0]!, all[1]!]
    const { ticket } = await heartbeat(roamingUser().at(a), 'page')
    const release = b.hold()
    const peer = peerOf(t, b, upgrade('page', `n=1&ticket=${ticket}`))
    await until(() => [...b.sockets].some(({ bytesRead }) => bytesRead > 0), 'its request')
    if (leaves) peer.socket.end()
    await all.clock.advance(9)
    assert.deepEqual([peer.text, peer.isHeld()], ['', true])
    await all.clock.advance(1)
    await until(() => peer.isEnded, 'the end')
    assert.deepEqual(statuses(peer), [503])
    await all.clock.advance(1)
    await until(() => !peer.isHeld(), 'no socket is left')
    release()
  })
}
