import { once } from 'node:events'
import { type ClientHttp2Session, connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type Koa from 'koa'
import type { Visitor } from '../../../lib/testing/index.ts'
import { END, partHead, unique } from '../files/multipart.ts'
import { until } from './express.ts'

/** Serves an app over HTTP/2 without encryption until the test is over. @returns a connection to it */
export async function http2Client(t: TestContext, app: Koa): Promise<ClientHttp2Session> {
  const answer = app.callback()
  const server = createServer((req, res) => void answer(req, res))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  await once(client, 'remoteSettings')
  t.after(() => {
    client.destroy()
    server.close()
  })
  return client
}

/** Begins an upload of a file with `size` bytes. The first ten are sent. */
export function beginUpload(
  client: ClientHttp2Session,
  user: Visitor,
  { path = '/gradio_api/upload', size = 100_000 } = {},
) {
  const head = partHead({ name: 'slow' })
  const stream = client.request({
    ':method': 'POST',
    ':path': path,
    cookie: [...user.cookies].map(pair => pair.join('=')).join('; '),
    'content-type': 'multipart/form-data; boundary=boundary-of-a-test',
    // Without it, multer takes a request of HTTP/2 for one without a body.
    'content-length': head.length + size + END.length,
  })
  let left = size
  const send = (bytes: number) =>
    new Promise<void>(resolve => {
      left -= bytes
      stream.write(unique(bytes), () => resolve())
    })
  const upload = {
    stream,
    status: 0,
    text: '',
    isClosed: false,
    send,
    async finish() {
      await send(left)
      stream.end(END)
      await until(() => upload.isClosed)
    },
  }
  stream.on('response', ({ ':status': status = 0 }) => {
    upload.status = status
  })
  stream.on('data', data => {
    upload.text += data
  })
  stream.on('error', () => {})
  stream.on('close', () => {
    upload.isClosed = true
  })
  stream.write(head)
  void send(10)
  return upload
}
