// The client of the uploads, in a process of its own, so that it has its own event loop.

import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { answering } from '../harness/process.js'

/** What to send: a number of requests, each with one file of a given size. */
export interface Order {
  readonly port: number
  readonly path: string
  readonly files: number
  readonly size: number
}

// As long as Chrome's: a longer boundary is found faster.
const BOUNDARY = '----WebKitFormBoundary7MA4YWxkTrZu0gW1'
const CHUNK = Buffer.alloc(1024 * 1024, 'gradio-state')
const PARALLEL = 8

/** Each file begins with different bytes. */
let sent = 0

answering({ send: sendAll })

/** In milliseconds. */
async function sendAll({ port, path, files, size }: Order): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL })
  let cookie = ''
  let left = files

  async function send(): Promise<void> {
    left--
    const name = `${sent++}.bin`
    const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n${name.padEnd(16)}`
    const tail = `\r\n--${BOUNDARY}--\r\n`
    const headers = {
      'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
      'content-length': head.length + size - 16 + tail.length,
      ...(cookie && { cookie }),
    }
    const req = request({ host: '127.0.0.1', port, path, agent, method: 'POST', headers })
    const responded = once(req, 'response') as Promise<[IncomingMessage]>
    // Awaiters see the rejection.
    responded.catch(() => {})
    req.write(head)
    for (let rest = size - 16; rest > 0; rest -= CHUNK.length)
      if (!req.write(CHUNK.subarray(0, rest))) await once(req, 'drain')
    req.end(tail)
    const [res] = await responded
    const body = await res.setEncoding('utf8').toArray()
    if (res.statusCode !== 200) throw new Error(`Expected 200, got ${res.statusCode}: ${body.join('')}`)
    if ((JSON.parse(body.join('')) as unknown[]).length !== 1)
      throw new Error('Expected one file to be stored')
    cookie ||= res.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
  }

  const start = performance.now()
  // The first response sets the cookie, if there is one, so that all files belong to one session.
  await send()
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      while (left > 0) await send()
    }),
  )
  const wall = performance.now() - start
  agent.destroy()
  return wall
}
