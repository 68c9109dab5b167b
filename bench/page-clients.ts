// The browsers: open pages as raw sockets, which cost their own process, not the server's.

import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { answering } from './harness/process.js'

/** How a page connects: by our client's protocol, by an upgrade alone, or to an event stream. */
export type Manner = 'gradio-state' | 'upgrade' | 'stream'

/** What pages have heard so far. */
export interface Heard {
  /** How many are open. */
  readonly open: number
  /** Signs of life, of all pages. */
  readonly beats: number
  /** Of the page that got the fewest. */
  readonly fewest: number
}

const pages: ClientPage[] = []

answering({
  async open(port: number, manner: Manner, count: number) {
    let left = count
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
    const one = async () => {
      while (left-- > 0) pages.push(await openPage(port, manner, agent))
    }
    await Promise.all(Array.from({ length: AT_ONCE }, one))
    agent.destroy()
  },
  heard(): Heard {
    const beats = pages.map(page => page.beats)
    return {
      open: pages.filter(page => page.isOpen).length,
      beats: beats.reduce((sum, each) => sum + each, 0),
      fewest: beats.reduce((least, each) => Math.min(least, each), Number.POSITIVE_INFINITY),
    }
  },
  /** Gives the time when it began. */
  close(how: 'goodbye' | 'break'): number {
    const begun = Date.now()
    for (const page of pages) page.close(how)
    return begun
  },
})

async function openPage(port: number, manner: Manner, agent: Agent): Promise<ClientPage> {
  const id = crypto.randomUUID()
  if (manner === 'stream') return dial(port, '/events', 'Accept: text/event-stream', '200')
  const ticket = manner === 'upgrade' ? '' : await heartbeat(port, id, agent)
  return dial(port, `/gradio_api/heartbeat/${id}?n=1&ticket=${ticket}`, UPGRADE, '101')
}

/** What comes before our socket: a user without a cookie is given a session. */
async function heartbeat(port: number, id: string, agent: Agent): Promise<string> {
  const path = `/gradio_api/heartbeat/${id}?n=1`
  const body = await new Promise<string>((resolve, reject) => {
    const req = request({ port, host: '127.0.0.1', method: 'POST', path, agent }, res => {
      let text = ''
      res.setEncoding('utf8').on('data', part => {
        text += part
      })
      res.on('end', () => (res.statusCode === 200 ? resolve(text) : reject(new Error(text))))
    })
    req.on('error', reject).end()
  })
  return encodeURIComponent((JSON.parse(body) as { ticket: string }).ticket)
}

function dial(port: number, path: string, header: string, status: string): Promise<ClientPage> {
  const host = `127.0.0.1:${port}`
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('The server has closed the socket')))
    socket.once('data', answer => {
      const end = answer.indexOf('\r\n\r\n')
      if (end < 0 || !answer.toString('latin1', 0, 12).endsWith(status)) {
        reject(new Error(answer.toString('latin1')))
        return
      }
      const page = new ClientPage(socket, status === '101')
      if (answer.length > end + 4) page.read(answer.subarray(end + 4))
      resolve(page)
    })
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\n${BROWSER}${header}\r\n\r\n`,
    )
  })
}

class ClientPage {
  beats = 0
  isOpen = true
  readonly #socket: Socket
  /** The beginning of a frame whose end is on its way. */
  #rest: Buffer = NOTHING

  constructor(socket: Socket, isUpgraded: boolean) {
    this.#socket = socket
    socket.removeAllListeners('error').removeAllListeners('close')
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isOpen = false
    })
    if (isUpgraded) socket.on('data', bytes => this.read(bytes))
    // What is written at once comes at once, and nothing else for seconds.
    else socket.on('data', () => this.beats++)
  }

  /** Frames of a server are short, and not masked (RFC 6455 §5.2). */
  read(bytes: Buffer): void {
    let left: Buffer = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    while (left.length >= 2) {
      const end = 2 + (left[1] as number)
      if (left.length < end) break
      const opcode = (left[0] as number) & 0x0f
      if (opcode === PING) {
        this.beats++
        this.#socket.write(PONG)
      } else if (opcode === CLOSE) {
        this.#socket.end()
      }
      left = left.subarray(end)
    }
    this.#rest = left
  }

  close(how: 'goodbye' | 'break'): void {
    if (how === 'goodbye') this.#socket.write(GOODBYE)
    else this.#socket.destroy()
  }
}

const AT_ONCE = 32
const NOTHING = Buffer.alloc(0)
const CLOSE = 8
const PING = 9
/** Masked, as those of a client have to be, by zeros. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])
/** With the code 1000. */
const GOODBYE = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])

const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
/** What any browser says of itself. */
const BROWSER = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  'Accept-Language: en-US,en;q=0.9',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Cache-Control: no-cache',
  '',
].join('\r\n')
