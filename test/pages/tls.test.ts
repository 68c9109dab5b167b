import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { it, type TestContext } from 'node:test'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import { WebSocket } from 'ws'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { type ExpressModule, forEachExpress, until } from '../support/http/express.ts'
import { selfSigned } from '../support/http/self-signed.ts'

const INSECURE = { rejectUnauthorized: false }

async function serveTls(t: TestContext, express: ExpressModule) {
  const gradio = gradioState({ clock: fakeClock() })
  const app = express()
  app.use(gradio)
  app.use((req, res) => {
    let body = ''
    req.on('data', data => {
      body += data
    })
    req.on('end', () => res.send(`${req.method} ${req.url} ${body} ${req.secure} END`))
  })
  const server = createServer(selfSigned, app)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    await gradio.close()
    server.closeAllConnections()
    server.close()
  })
  return { gradio, port: (server.address() as AddressInfo).port }
}

async function openPage(port: number) {
  const path = '/gradio_api/heartbeat/page?n=1'
  const asked = request({ ...INSECURE, port, host: '127.0.0.1', method: 'POST', path }).end()
  const [answer] = await once(asked, 'response')
  let text = ''
  for await (const data of answer) text += data
  return { cookie: String(answer.headers['set-cookie']), ticket: JSON.parse(text).ticket as string }
}

forEachExpress((_name, express) => {
  it('on https the own cookie is Secure, and the socket of a page opens', async t => {
    const { gradio, port } = await serveTls(t, express)
    const { cookie, ticket } = await openPage(port)
    assert.match(cookie, /; Secure/)
    const url = `wss://127.0.0.1:${port}/gradio_api/heartbeat/page?n=1&ticket=${ticket}`
    const socket = new WebSocket(url, { ...INSECURE, origin: `https://127.0.0.1:${port}` })
    t.after(() => socket.terminate())
    await once(socket, 'open')
    assert.equal(gradio.stats().pages, 1)
    socket.close(1000)
    await until(() => gradio.stats().pages === 0)
  })

  it('on https, too, an upgrade without a handler is a plain request', async t => {
    const { port } = await serveTls(t, express)
    await openPage(port)
    const socket: TLSSocket = tlsConnect({ ...INSECURE, port, host: '127.0.0.1' })
    t.after(() => socket.destroy())
    let text = ''
    socket.setEncoding('latin1').on('data', data => {
      text += data
    })
    const offer =
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'
    for (const [at, body] of ['one', 'two'].entries()) {
      socket.write(`POST /any HTTP/1.1\r\nHost: a\r\n${offer}Content-Length: 6\r\n\r\n${body}`)
      await new Promise(resolve => setTimeout(resolve, 10))
      socket.write(body)
      await until(() => text.split('END').length === at + 2, `an answer to ${body}`)
    }
    assert.match(text, /POST \/any oneone true END/)
    assert.match(text, /POST \/any twotwo true END/)
  })
})
