// The socket of a page, by real clients and by peers that keep to no rule.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { forEachExpress, pass, type Site, site, until } from '../support/express.ts'
import { dial, heartbeat } from '../support/handshake.ts'

const HANDSHAKE: Readonly<Record<string, string>> = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

/** A page whose socket says what it is told to. */
async function raw(t: TestContext, served: Site, headers: Readonly<Record<string, string>> = {}, more = '') {
  const { ticket } = await heartbeat(served.visitor(), 'page')
  const socket = connect({ port: served.port, host: '127.0.0.1', noDelay: true })
  t.after(() => socket.destroy())
  const peer = { socket, received: Buffer.alloc(0), isEnded: false }
  socket.on('error', () => {})
  socket.on('end', () => {
    peer.isEnded = true
  })
  socket.on('data', bytes => {
    peer.received = Buffer.concat([peer.received, bytes])
  })
  const lines = Object.entries({ Host: 'a', ...HANDSHAKE, ...headers }).map(line => line.join(': '))
  const request = `GET /gradio_api/heartbeat/page?n=1&ticket=${ticket} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
  socket.write(Buffer.concat([Buffer.from(request), Buffer.from(more, 'hex')]))
  await until(() => peer.received.includes('\r\n\r\n'), 'an answer')
  const end = peer.received.indexOf('\r\n\r\n') + 4
  const head = peer.received.toString('latin1', 0, end)
  peer.received = peer.received.subarray(end)
  return { peer, head, status: Number(head.split(' ')[1]) }
}

const hex = (bytes: Buffer) => bytes.toString('hex')

forEachExpress((_name, express) => {
  it('a client is answered its pings, and its close with the code and reason it gave', async t => {
    const served = await site(t, express)
    const { socket, closed } = await dial(t, served, 'page', await heartbeat(served.visitor(), 'page'))
    socket.ping('any')
    const [payload] = await once(socket, 'pong')
    assert.equal(String(payload), 'any')
    socket.send('a message')
    socket.close(4001, 'lost')
    assert.deepEqual(await closed, { code: 4001, reason: 'lost' })
    await until(() => served.gradio.stats().pages === 0)
  })

  it('a message that is longer than any of a page closes the socket with 1009', async t => {
    const served = await site(t, express)
    const { socket, closed } = await dial(t, served, 'page', await heartbeat(served.visitor(), 'page'))
    socket.send('x'.repeat(1_024))
    socket.send('x'.repeat(1_025))
    assert.equal((await closed).code, 1009)
    await until(() => served.gradio.stats().pages === 0)
  })

  it('a frame without a mask closes it with 1002', async t => {
    const served = await site(t, express)
    const { peer } = await raw(t, served)
    peer.socket.write(Buffer.from('810131', 'hex'))
    await until(() => peer.isEnded)
    assert.equal(hex(peer.received), '880203ea')
    assert.equal(served.gradio.stats().pages, 0)
  })

  it('frames may come with the handshake, and one byte at a time', async t => {
    const served = await site(t, express)
    const { peer } = await raw(t, served, {}, '898100000000')
    for (const byte of Buffer.from('31898200000000', 'hex')) {
      peer.socket.write(Buffer.from([byte]))
      await sleep(3)
    }
    peer.socket.write('ab')
    await until(() => peer.received.length >= 7, 'two pongs')
    assert.equal(hex(peer.received), '8a01318a026162')
  })

  it('a goodbye counts when it comes, and a peer that then stays is cut off', async t => {
    const served = await site(t, express)
    const sockets: Socket[] = []
    served.server.on('connection', socket => sockets.push(socket))
    const { peer } = await raw(t, served)
    const ours = sockets.find(socket => socket.remotePort === peer.socket.localPort)
    peer.socket.allowHalfOpen = true
    peer.socket.write(Buffer.from('888200000000' + '03e8', 'hex'))
    await until(() => served.gradio.stats().pages === 0 && peer.isEnded)
    assert.equal(hex(peer.received), '880203e8')
    await pass(served.clock, 29)
    assert.equal(ours?.destroyed, false)
    await pass(served.clock, 1)
    assert.equal(ours?.destroyed, true)
  })

  it('the end of a connection without a close is a broken socket', async t => {
    const served = await site(t, express)
    let unloads = 0
    served.gradio.unload(() => unloads++)
    const { peer } = await raw(t, served)
    peer.socket.end()
    await until(() => served.gradio.stats().pages === 0 && peer.isEnded)
    await pass(served.clock, 3)
    assert.equal(unloads, 0)
    await pass(served.clock, 1)
    assert.equal(unloads, 1)
  })

  it('who pings and does not read fills no memory', async t => {
    const served = await site(t, express)
    const sockets: Socket[] = []
    served.server.on('connection', socket => sockets.push(socket))
    const { peer } = await raw(t, served)
    peer.socket.pause()
    const ping = Buffer.concat([Buffer.from('89fd00000000', 'hex'), Buffer.alloc(125)])
    const many = Buffer.concat(new Array(10_000).fill(ping))
    const read = () => sockets.reduce((most, socket) => Math.max(most, socket.bytesRead), 0)
    for (let times = 0; times < 20; times++) peer.socket.write(many)
    await until(() => read() >= 20 * many.length, 'all pings')
    const unsent = Math.max(...sockets.map(socket => socket.writableLength))
    assert.ok(unsent < 10_000, `got ${unsent}`)
    assert.equal(served.gradio.stats().pages, 1)
  })

  it('a handshake gets the answer of the RFC, and the first protocol that was offered', async t => {
    const served = await site(t, express)
    const { head, status } = await raw(t, served, { 'Sec-WebSocket-Protocol': 'one, two' })
    assert.equal(status, 101)
    assert.match(head, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/)
    assert.match(head, /\r\nSec-WebSocket-Protocol: one\r\n/)
  })

  for (const [header, value] of [
    ['Sec-WebSocket-Version', '12'],
    ['Sec-WebSocket-Key', 'short'],
    ['Sec-WebSocket-Protocol', 'no token'],
  ] as const) {
    it(`a handshake is refused for ${header}: ${value}, and its page goes on by beats`, async t => {
      const served = await site(t, express)
      const { status } = await raw(t, served, { [header]: value })
      assert.equal(status, 400)
      assert.equal(served.gradio.stats().pages, 1)
    })
  }

  it('a shutdown tells 1012, and does not wait for a peer that says nothing', async t => {
    const served = await site(t, express)
    const { peer } = await raw(t, served)
    const other = await dial(t, served, 'other', await heartbeat(served.visitor(), 'other'))
    const closing = served.gradio.close()
    assert.equal((await other.closed).code, 1012)
    await closing
    await until(() => hex(peer.received) === '880203f4')
    await pass(served.clock, 2)
    await until(() => peer.socket.closed || peer.isEnded)
    assert.equal(other.socket.readyState, WebSocket.CLOSED)
  })
})
