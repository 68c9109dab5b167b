import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { WebSocket } from 'ws'

/** A page that belongs to a separate user. */
export interface OpenPage {
  /** Closes the page like a browser does when its tab is closed, and doesn't wait for a response. */
  close(): void
}

/** Opens pages on a server, using the protocol of its client. */
export interface Visitors {
  open(): Promise<OpenPage>
  /** Closes all connections except those of the pages. */
  settle(): void
}

/** Like the client of gradio-state: requests a ticket and opens a WebSocket with it. Closing, it sends a beacon and closes the socket. */
export function ourVisitors(port: number): Visitors {
  let agent = newAgent()
  const post = async (path: string, cookie?: string) => {
    const headers = { 'content-length': 0, ...(cookie !== undefined && { cookie }) }
    const req = request({ host: '127.0.0.1', port, path, agent, method: 'POST', headers }).end()
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    const body = await res.setEncoding('utf8').toArray()
    if (res.statusCode === undefined || res.statusCode >= 300)
      throw new Error(`Expected ${path} to be accepted, got ${res.statusCode}: ${body.join('')}`)
    return { body: body.join(''), cookie: res.headers['set-cookie']?.[0]?.split(';')[0] }
  }
  return {
    async open() {
      const id = randomUUID()
      const { body, cookie } = await post(`/gradio_api/heartbeat/${id}?n=1`)
      const { ticket } = JSON.parse(body) as { ticket: string }
      const url = `ws://127.0.0.1:${port}/gradio_api/heartbeat/${id}?n=1&ticket=${ticket}`
      const socket = new WebSocket(url, { perMessageDeflate: false })
      await once(socket, 'open')
      return {
        close() {
          void post(`/gradio_api/pagehide/${id}?n=1`, cookie)
          socket.close(1000)
        },
      }
    },
    settle() {
      agent.destroy()
      agent = newAgent()
    },
  }
}

/** Like Gradio's client: opens an event stream, and aborts it when it closes. */
export function gradioVisitors(port: number): Visitors {
  return {
    async open() {
      const path = `/gradio_api/heartbeat/${randomUUID().slice(-11)}`
      const req = request({ host: '127.0.0.1', port, path, agent: false }).end()
      const [res] = (await once(req, 'response')) as [IncomingMessage]
      if (res.statusCode !== 200) throw new Error(`Expected a stream, got ${res.statusCode}`)
      res.on('error', () => {})
      await once(res, 'data')
      return { close: () => req.destroy() }
    },
    settle() {},
  }
}

function newAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 128 })
}

/** Opens a number of pages, a few at a time. */
export async function openPages(visitors: Visitors, count: number): Promise<OpenPage[]> {
  const pages: OpenPage[] = []
  let left = count
  const work = async () => {
    while (left-- > 0) pages.push(await visitors.open())
  }
  await Promise.all(Array.from({ length: 32 }, work))
  visitors.settle()
  return pages
}
