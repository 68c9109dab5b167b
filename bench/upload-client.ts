import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'

// The client of the suite `upload`: sends files and reports how long that took. Each begins with different bytes, unless all have
// to be the same.

// As long as Chrome's: a longer boundary is found faster.
const BOUNDARY = '----WebKitFormBoundary7MA4YWxkTrZu0gW1'
const CHUNK = Buffer.alloc(1024 * 1024, 'gradio-state')
const PARALLEL = 8
const TYPE = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }

interface Order {
  readonly files: number
  readonly size: number
  readonly port: number
  readonly same?: boolean
  readonly parallel?: number
}

process.send?.('ready')
const [order] = (await once(process, 'message')) as [Order]
await sendAll(order)

async function sendAll({ files, size, port, same, parallel = PARALLEL }: Order): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: parallel })
  let cookie = ''
  let sent = 0

  async function send(): Promise<void> {
    const name = `${same ? 0 : sent}.bin`
    sent++
    const req = request({ port, agent, method: 'POST', headers: { ...TYPE, cookie } })
    req.write(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n${name.padEnd(16)}`,
    )
    for (let left = size - 16; left > 0; left -= CHUNK.length) {
      if (!req.write(CHUNK.subarray(0, left))) await once(req, 'drain')
    }
    req.end(`\r\n--${BOUNDARY}--\r\n`)
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    if (res.statusCode !== 204) throw new Error(`Expected 204, got ${res.statusCode}`)
    cookie ||= res.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
    res.resume()
    await once(res, 'end')
  }

  const start = performance.now()
  // The first response sets the cookie, so that all files belong to one session.
  await send()
  const workers = Array.from({ length: parallel }, async () => {
    while (sent < files) await send()
  })
  await Promise.all(workers)
  process.send?.(performance.now() - start)
  agent.destroy()
  process.disconnect()
}
