import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { it } from 'node:test'
import { visitor as visitorOf } from '../../lib/testing/index.ts'
import { forEachExpress, idle, pass, site, until } from '../support/http/express.ts'
import { breakableNetwork } from '../support/pages/breakable-network.ts'
import { dial, heartbeat } from '../support/pages/handshake.ts'

/** The minimum that a peer sends for a pong: RFC 6455 §5.2, with a mask and without a payload. */
const PONG = 6

forEachExpress((_name, express) => {
  for (const seconds of [1, 7, 15, 20, 25, 30]) {
    it(`a peer that vanishes is detected within 60 s, with a heartbeat of ${seconds} s`, async t => {
      const { gradio, clock, port, server } = await site(t, express, { options: { heartbeat: seconds } })
      const sockets: Socket[] = []
      server.on('connection', socket => sockets.push(socket))
      const bytesRead = () => sockets.reduce((sum, socket) => sum + socket.bytesRead, 0)
      const line = await breakableNetwork(t, port)
      const user = visitorOf(`http://127.0.0.1:${line.port}`)
      await user.openPage()
      for (let beats = 0; beats < 10; beats++) {
        const before = bytesRead()
        await clock.advance(seconds)
        await until(() => bytesRead() >= before + PONG, 'a pong')
      }
      assert.equal(gradio.stats().pages, 1, 'it is here as long as it answers')
      line.cut()
      await clock.advance(Math.min(seconds, 20))
      assert.equal(gradio.stats().pages, 1, 'a lost ping is no absence')
      await clock.advance(60 - Math.min(seconds, 20))
      await until(() => gradio.stats().pages === 0)
    })
  }

  it('a page that responds is kept for days', async t => {
    const { gradio, clock, visitor } = await site(t, express, { options: { heartbeat: 30 } })
    await visitor().openPage()
    for (let minute = 0; minute < 60; minute++) await pass(clock, 60)
    assert.equal(gradio.stats().pages, 1)
  })

  it("each ping is accompanied by a message that the page's script can see", async t => {
    const served = await site(t, express)
    const { socket } = await dial(t, served, 'page', await heartbeat(served.visitor(), 'page'))
    const seen: string[] = []
    socket.on('message', data => seen.push(String(data)))
    socket.on('ping', () => seen.push('ping'))
    await pass(served.clock, 30)
    await until(() => seen.length === 4)
    assert.deepEqual(seen, ['ping', '1', 'ping', '1'])
  })

  it('a page that only sends heartbeats is open until 95 s after the last one', async t => {
    const { gradio, clock, visitor } = await site(t, express)
    const log: string[] = []
    gradio.unload(() => log.push('unload'))
    const page = await visitor().openPage({ socket: false })
    for (let beats = 0; beats < 5; beats++) {
      await clock.advance(94)
      assert.equal(await page.beat(), 200)
    }
    await clock.advance(94)
    assert.equal(gradio.stats().pages, 1)
    await clock.advance(1)
    assert.equal(gradio.stats().pages, 0)
    await clock.advance(5)
    assert.deepEqual(log, ['unload'])
    assert.equal(await page.beat(), 200, 'it was only silent, and may come back')
    assert.equal(gradio.stats().pages, 1)
  })

  it('a reconnect that arrives before the close of the lost socket is not undone by it', async t => {
    const served = await site(t, express)
    const { gradio, clock } = served
    let unloads = 0
    gradio.unload(() => unloads++)
    const user = served.visitor()
    const old = await dial(t, served, 'page', await heartbeat(user, 'page'))
    const ticket = await heartbeat(user, 'page')
    old.socket.terminate()
    await pass(clock, 10)
    assert.equal(gradio.stats().pages, 1)
    const { socket } = await dial(t, served, 'page', ticket)
    await pass(clock, 300)
    assert.equal(unloads, 0)
    socket.terminate()
    await until(() => gradio.stats().pages === 0)
  })

  it('a reconnect that never opens a socket counts as long as a heartbeat', async t => {
    const served = await site(t, express)
    const { gradio, clock } = served
    const user = served.visitor()
    const { socket } = await dial(t, served, 'page', await heartbeat(user, 'page'))
    await heartbeat(user, 'page')
    socket.terminate()
    await pass(clock, 94)
    assert.equal(gradio.stats().pages, 1)
    await clock.advance(1)
    assert.equal(gradio.stats().pages, 0)
  })

  it('while a page has a socket no heartbeat is due', async t => {
    const { gradio, clock, visitor } = await site(t, express)
    const page = await visitor().openPage()
    await page.beat()
    await pass(clock, 300)
    assert.equal(gradio.stats().pages, 1)
    await page.crash()
    await idle(gradio)
  })

  it('a socket that only opens, and never responds, does not count for long', async t => {
    const served = await site(t, express)
    const { socket } = await dial(t, served, 'page', await heartbeat(served.visitor(), 'page'))
    socket.pong = () => {}
    await served.clock.advance(60)
    await until(() => served.gradio.stats().pages === 0)
  })
})
