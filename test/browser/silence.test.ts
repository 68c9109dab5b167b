import assert from 'node:assert/strict'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import { bareTabs } from '../support/browser/bare-tabs.ts'
import { until, useBrowser } from '../support/browser/browser.ts'
import { proxy } from '../support/browser/proxy.ts'
import { site } from '../support/http/express.ts'
import { breakableNetwork } from '../support/pages/breakable-network.ts'

/** The default of the option `heartbeat`, in seconds. */
const PING_EVERY = 15
/** The minimum that a browser sends for a pong: RFC 6455 §5.2, with a mask and without a payload. */
const PONG = 6

const html = `<!doctype html>
  <link rel="icon" href="data:,">
  <script type="module" src="/gradio_api/client.js"></script>
  <script>
    window.frozen = 0
    document.addEventListener('freeze', () => window.frozen++)
  </script>`

describe('a browser that vanishes without a goodbye', () => {
  const browser = useBrowser({ hasWindows: true })

  it('is detected within 60 s, whether its tabs are visible, hidden or frozen', async t => {
    const { gradio, clock, unloaded, server, port } = await app(t)
    const sockets = collect(server)
    const line = await breakableNetwork(t, port)
    const tabs = await bareTabs(t, browser)
    const frozen = await tabs.open(`http://127.0.0.1:${line.port}`)
    await until(() => gradio.stats().pages === 1, 'the first page is counted')
    const hidden = await tabs.open(`http://127.0.0.1:${line.port}`)
    const visible = await tabs.open(`http://127.0.0.1:${line.port}`)
    await until(() => gradio.stats().pages === 3, 'all pages are counted')
    const visibility = () =>
      Promise.all([frozen, hidden, visible].map(tab => tab.evaluate('document.visibilityState')))
    await until(async () => String(await visibility()) === 'hidden,hidden,visible', 'two are hidden')
    await frozen.freeze()
    await until(async () => (await frozen.evaluate('window.frozen')) === 1, 'one is frozen')
    await until(() => sockets.filter(isWebSocket).length === 3, 'each has its socket')

    // For ten minutes while the network works.
    const bytesReceived = () => sockets.filter(isWebSocket).map(socket => socket.bytesRead)
    for (let passed = 0; passed < 600; passed += PING_EVERY) {
      const before = bytesReceived()
      await clock.advance(PING_EVERY)
      await until(() => bytesReceived().every((bytes, i) => bytes >= before[i]! + PONG), 'three pongs')
    }
    assert.deepEqual([gradio.stats().pages, unloaded.length], [3, 0])

    line.cut()
    let passed = 0
    for (; gradio.stats().pages > 0 && passed < 60; passed++) await clock.advance(1)
    t.diagnostic(`missed after ${passed} s`)
    assert.equal(gradio.stats().pages, 0)
    assert.equal(unloaded.length, 0)
    await clock.advance(4)
    assert.equal(unloaded.length, 1)
  })

  it("is detected within 100 s if it can't have a WebSocket", async t => {
    const { gradio, clock, unloaded, port } = await app(t)
    const between = await proxy(port, { upgrades: 'strip' })
    t.after(() => between.close())
    const line = await breakableNetwork(t, between.port)
    const tabs = await bareTabs(t, browser)
    await tabs.open(`http://127.0.0.1:${line.port}`)
    await until(() => gradio.stats().pages === 1, 'the page is counted')
    // It then waits for at least a second, so no heartbeat is in flight that would arrive after the cut.
    await until(() => between.upgrades === 2, 'its socket was refused, and again')

    line.cut()
    // A hidden tab sends a heartbeat only once a minute.
    await clock.advance(90)
    assert.deepEqual([gradio.stats().pages, unloaded.length], [1, 0])
    await clock.advance(10)
    assert.equal(gradio.stats().pages, 0)
    assert.equal(unloaded.length, 1)
  })
})

async function app(t: TestContext) {
  const unloaded: string[] = []
  const made = await site(t, express, {
    routes(app, gradio) {
      gradio.unload(({ session }) => unloaded.push(session.id))
      app.get('/', (_req, res) => res.send(html))
    },
  })
  return { ...made, unloaded }
}

function collect(server: Server): Socket[] {
  const sockets: Socket[] = []
  server.on('connection', socket => sockets.push(socket))
  return sockets
}

/** Node.js detaches its HTTP parser from a socket that was upgraded. */
function isWebSocket(socket: Socket): boolean {
  return !socket.destroyed && (socket as { parser?: unknown }).parser === null
}
