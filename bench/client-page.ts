// An open page of a browser, as a raw socket.

import { type Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'

/** How a page connects: by our client's protocol, by that of Socket.IO, by an upgrade alone, or to an event stream. */
export type Manner = 'gradio-state' | 'socket.io' | 'upgrade' | 'stream'

export interface Opening {
  readonly port: number
  readonly manner: Manner
  readonly id: string
  /** Shared by the requests before the socket. `false`: each has its own connection. */
  readonly agent: Agent | false
  /** The cookies that the browser already has. */
  readonly cookie?: string
}

/** Opens a page; resolves when the server counts it as open. */
export async function openPage(opening: Opening): Promise<ClientPage> {
  const { port, manner, id } = opening
  if (manner === 'stream') return dial(opening, '/events', 'Accept: text/event-stream', '200')
  if (manner === 'upgrade') return dial(opening, `/${id}`, UPGRADE, '101')
  if (manner === 'socket.io') {
    const page = await dial(opening, '/socket.io/?EIO=4&transport=websocket', UPGRADE, '101')
    await page.joined
    return page
  }
  const { ticket, cookie } = await heartbeat(opening)
  const path = `/gradio_api/heartbeat/${id}?n=1&ticket=${encodeURIComponent(ticket)}`
  const page = await dial({ port, cookie }, path, UPGRADE, '101')
  page.cookie = cookie
  return page
}

/** The heartbeat before the WebSocket, which gives a user without a cookie a session. */
function heartbeat({ port, id, agent, cookie = '' }: Opening): Promise<{ ticket: string; cookie: string }> {
  const path = `/gradio_api/heartbeat/${id}?n=1`
  const options = { port, host: '127.0.0.1', method: 'POST', path, agent, headers: { cookie } }
  return new Promise((resolve, reject) => {
    const req = request(options, res => {
      let text = ''
      res.setEncoding('utf8').on('data', part => {
        text += part
      })
      res.on('error', reject).on('end', () => {
        if (res.statusCode !== 200) return reject(new Error(text))
        const set = res.headers['set-cookie']?.map(each => each.split(';')[0]).join('; ')
        resolve({ ticket: (JSON.parse(text) as { ticket: string }).ticket, cookie: set ?? cookie })
      })
    })
    req.on('error', reject).end()
  })
}

function dial(
  { port, cookie = '' }: Pick<Opening, 'port' | 'cookie'>,
  path: string,
  header: string,
  status: string,
): Promise<ClientPage> {
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
      `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\n${BROWSER}Cookie: ${cookie}\r\n${header}\r\n\r\n`,
    )
  })
}

export class ClientPage {
  beats = 0
  isOpen = true
  cookie = ''
  readonly closed: Promise<void>
  /** With Socket.IO: once the server has let the page into a namespace. */
  readonly joined: Promise<void>
  #join = () => {}
  readonly #socket: Socket
  /** The start of a frame that is incomplete. */
  #rest: Buffer = NOTHING

  constructor(socket: Socket, isUpgraded: boolean) {
    this.#socket = socket
    socket.removeAllListeners('error').removeAllListeners('close')
    socket.on('error', () => {})
    this.closed = new Promise(resolve => {
      socket.on('close', () => {
        this.isOpen = false
        resolve()
      })
    })
    this.joined = new Promise(resolve => {
      this.#join = resolve
    })
    if (isUpgraded) socket.on('data', bytes => this.read(bytes))
    // Everything that is written at once arrives at once, and then nothing for seconds.
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
      } else if (opcode === TEXT) {
        this.#readPacket(left.toString('latin1', 2, end))
      } else if (opcode === CLOSE) {
        this.#socket.end()
      }
      left = left.subarray(end)
    }
    this.#rest = left
  }

  /** A packet of Engine.IO 4, which carries those of Socket.IO (socket.io/docs/v4/engine-io-protocol). */
  #readPacket(packet: string): void {
    if (packet === '2') {
      this.beats++
      this.#socket.write(ENGINE_PONG)
    } else if (packet.startsWith('0')) {
      this.#socket.write(JOIN)
    } else if (packet.startsWith('40')) {
      this.#join()
    }
  }

  close(how: 'goodbye' | 'break'): void {
    if (how === 'goodbye') this.#socket.write(GOODBYE)
    else this.#socket.destroy()
  }
}

const NOTHING = Buffer.alloc(0)
const TEXT = 1
const CLOSE = 8
const PING = 9
/** Masked, as those of a client have to be, by zeros. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])
/** `3` and `40`, as text. */
const ENGINE_PONG = Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x33])
const JOIN = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30])
/** With the code 1000. */
const GOODBYE = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])

const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
/** Headers that every browser sends. */
const BROWSER = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  'Accept-Language: en-US,en;q=0.9',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Cache-Control: no-cache',
  '',
].join('\r\n')
