// A server that closes while it has a page whose peer doesn't respond. Nothing may keep this process alive then.

import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { gradioState } from '../../../lib/index.ts'

const gradio = gradioState()
const server = createServer((req, res) => gradio(req, res, () => res.end()))
await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo

const path = '/gradio_api/heartbeat/page?n=1'
const opening = request({ port, host: '127.0.0.1', method: 'POST', path, agent: false }).end()
const [answer] = (await once(opening, 'response')) as [IncomingMessage]
const { ticket } = JSON.parse((await answer.setEncoding('utf8').toArray()).join('')) as { ticket: string }

const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
peer.write(
  `GET ${path}&ticket=${ticket} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
)
const [head] = (await once(peer, 'data')) as [Buffer]
// The client's end of the connection doesn't keep it alive.
peer.pause().unref()
console.log(head.toString('latin1').split('\r\n', 1)[0], gradio.stats().pages)

server.close()
await gradio.close()
