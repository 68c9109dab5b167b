// The socket of a page, with real clients and with peers that follow no rules.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { WebSocket } from 'ws'
import { forEachExpress, pass, type Site, site, until } from '../support/http/express.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'
import { program } from '../support/program.ts'

const HANDSHAKE: Readonly<Record<string, string>> = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

/** A page whose socket sends bytes of the test. `isHeld` is whether the server has its connection. */
async function raw(t: TestContext, served: Site, headers: Readonly<Record<string, string>> = {}, more = '') {
  const user = served.visitor()
  const { ticket } = await heartbeat(user, 'page')
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
  const isHeld = () => [...served.sockets].some(({ remotePort }) => remotePort === socket.localPort)
  return { user, peer, head, isHeld, status: Number(head.split(' ')[1]) }
}

/** A masked frame (RFC 6455 §5.2). The mask is all zeros, so the payload is unchanged. */
function frame(first: number, payload: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(payload)
  const length = bytes.length < 126 ? [0x80 | bytes.length] : [0xfe, bytes.length >> 8, bytes.length & 0xff]
  return Buffer.concat([Buffer.from([first, ...length, 0, 0, 0, 0]), bytes])
}

const [CONTINUATION, TEXT, PING, PONG] = [0x00, 0x01, 0x89, 0x8a]
/** A ping and the message `1`. */
const BEAT = '8900810131'
/** The FIN bit of a message's last frame. */
const FINAL = 0x80
/** More bytes than the pongs that the server may leave unsent. */
const MAX_UNSENT = 10_000

const hex = (bytes: Buffer) => bytes.toString('hex')

forEachExpress((_name, express) => {
  it('pings are answered with pongs, and a close with its code and reason', async t => {
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

  it('a message that is longer than any message of a page closes the socket with 1009', async t => {
    const served = await site(t, express)
    const { socket, closed } = await dial(t, served, 'page', await heartbeat(served.visitor(), 'page'))
    socket.send('x'.repeat(1_024))
    socket.send('x'.repeat(1_025))
    assert.equal((await closed).code, 1009)
    await until(() => served.gradio.stats().pages === 0)
  })

  const violations: Record<string, { frames: Buffer[]; code: number }> = {
    'a frame without a mask': { frames: [Buffer.from('810131', 'hex')], code: 1002 },
    'a reserved opcode': { frames: [frame(FINAL | 3)], code: 1002 },
    'a reserved bit': { frames: [frame(FINAL | 0x40 | TEXT, '1')], code: 1002 },
    'a ping in fragments': { frames: [frame(0x09)], code: 1002 },
    'a ping of 126 bytes': { frames: [frame(PING, Buffer.alloc(126))], code: 1002 },
    'a continuation of nothing': { frames: [frame(FINAL | CONTINUATION)], code: 1002 },
    'a Close frame with the code 1005': { frames: [frame(0x88, Buffer.from([0x03, 0xed]))], code: 1002 },
    'text that is not UTF-8': { frames: [frame(FINAL | TEXT, Buffer.from([0xff]))], code: 1007 },
    'a length of 2^63 - 1 bytes': { frames: [Buffer.from('82ff7fffffffffffffff', 'hex')], code: 1009 },
    'fragments of more than 1,024 bytes together': {
      frames: [frame(TEXT, Buffer.alloc(1_000, 'x')), frame(FINAL | CONTINUATION, Buffer.alloc(25, 'x'))],
      code: 1009,
    },
    'a message of more than 16 fragments': {
      frames: [frame(TEXT, 'x'), ...Array.from({ length: 16 }, () => frame(CONTINUATION, 'x'))],
      code: 1008,
    },
  }
  for (const [name, { frames, code }] of Object.entries(violations)) {
    it(`${name} closes the socket with ${code}, even if the peer keeps its half open`, async t => {
      const served = await site(t, express)
      const { peer, isHeld } = await raw(t, served)
      peer.socket.allowHalfOpen = true
      peer.socket.write(Buffer.concat(frames))
      await until(() => peer.isEnded, 'the end')
      assert.equal(hex(peer.received), `8802${code.toString(16).padStart(4, '0')}`)
      await until(() => served.gradio.stats().pages === 0 && !isHeld(), 'that the connection is cut off')
    })
  }

  it('a peer that sends one message in more than 16 fragments is disconnected', async t => {
    const served = await site(t, express)
    const { peer, isHeld } = await raw(t, served)
    peer.socket.write(Buffer.from('81fe03e800000000', 'hex'))
    for (let pieces = 0; pieces < 40 && !peer.isEnded; pieces++) {
      peer.socket.write('x')
      await sleep(3)
    }
    await until(() => peer.isEnded && !isHeld(), 'that the connection is cut off')
    assert.equal(hex(peer.received), '880203f0')
  })

  it('frames can arrive with the handshake, and byte by byte', async t => {
    const served = await site(t, express)
    const { peer } = await raw(t, served, {}, '898100000000')
    for (const byte of Buffer.concat([Buffer.from('1'), frame(PING, 'ab')])) {
      peer.socket.write(Buffer.from([byte]))
      await sleep(3)
    }
    await until(() => peer.received.length >= 7, 'two pongs')
    assert.equal(hex(peer.received), '8a01318a026162')
  })

  it('a goodbye counts when the connection ends, or after a second, when a peer that stays is disconnected', async t => {
    const served = await site(t, express)
    const { user, peer, isHeld } = await raw(t, served)
    peer.socket.allowHalfOpen = true
    peer.socket.write(Buffer.from('888200000000' + '03e8', 'hex'))
    await until(() => peer.isEnded, 'the end')
    assert.equal(hex(peer.received), '880203e8')
    assert.ok(isHeld())
    await until(() => served.gradio.stats().pages === 0 && !isHeld(), 'that the connection is cut off')
    assert.equal((await heartbeat(user, 'page')).status, 409)
  })

  it('the end of a connection without a close counts as a broken socket', async t => {
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

  it('a peer that sends pings and does not read is disconnected, and does not fill the memory', async t => {
    const served = await site(t, express)
    const { peer, isHeld } = await raw(t, served)
    peer.socket.pause()
    const pings = Buffer.concat(new Array(10_000).fill(frame(PING, Buffer.alloc(125))))
    let unsent = 0
    let isWritable = true
    peer.socket.on('close', () => {
      isWritable = false
    })
    while (isWritable && isHeld() && unsent < MAX_UNSENT) {
      peer.socket.write(pings)
      for (const { writableLength } of served.sockets) unsent = Math.max(unsent, writableLength)
      await sleep(1)
    }
    assert.ok(unsent < MAX_UNSENT, `got ${unsent}`)
    await until(() => served.gradio.stats().pages === 0, 'that the page has left')
  })

  it('a peer that ends its half while it does not read is disconnected after a minute', async t => {
    const served = await site(t, express)
    const { peer, isHeld } = await raw(t, served)
    peer.socket.pause()
    const [ours] = [...served.sockets].filter(({ remotePort }) => remotePort === peer.socket.localPort)
    assert.ok(ours)
    // Unread data fills the buffers of both systems, so that the end can't be sent.
    while (ours.writableLength === 0) {
      ours.write(frame(PONG, Buffer.alloc(100_000)))
      await sleep(1)
    }
    peer.socket.end()
    await sleep(20)
    assert.ok(isHeld())
    await served.clock.advance(60)
    await until(() => served.gradio.stats().pages === 0 && !isHeld(), 'that the connection is cut off')
  })

  it('a handshake gets the response of the RFC, and the first protocol that was offered', async t => {
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
    it(`a handshake is rejected for ${header}: ${value}, and its page continues with heartbeats`, async t => {
      const served = await site(t, express)
      const { status } = await raw(t, served, { [header]: value })
      assert.equal(status, 400)
      assert.equal(served.gradio.stats().pages, 1)
    })
  }

  it('no ping follows a Close frame that the peer does not answer', async t => {
    const served = await site(t, express)
    const { peer } = await raw(t, served)
    await served.clock.advance(15)
    await until(() => hex(peer.received) === BEAT, 'a beat')
    const [session] = served.gradio.sessions()
    await served.gradio.endSession(session!.id)
    await served.clock.advance(15)
    await until(() => peer.socket.closed || peer.isEnded, 'that the connection is cut off')
    assert.equal(hex(peer.received), `${BEAT}88070fa0${Buffer.from('ended').toString('hex')}`)
  })

  it('a shutdown closes with 1012, and does not wait for a peer that does not respond', async t => {
    const served = await site(t, express)
    const { peer } = await raw(t, served)
    const other = await dial(t, served, 'other', await heartbeat(served.visitor(), 'other'))
    const closing = served.gradio.close()
    assert.equal((await other.closed).code, 1012)
    await closing
    await until(() => hex(peer.received) === '880203f4')
    await until(() => peer.socket.closed || peer.isEnded)
    assert.equal(other.socket.readyState, WebSocket.CLOSED)
  })
})

it('a process exits although the peer of a page does not answer its Close frame', async () => {
  const peer = program('test/support/pages/silent-peer.ts')
  // Less than the 30 s for which ws waits by default.
  const options = { timeout: 20_000 }
  const { stdout } = await promisify(execFile)(process.execPath, peer, options)
  assert.equal(stdout, 'HTTP/1.1 101 Switching Protocols 1\n')
})
