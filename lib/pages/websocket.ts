import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import type { Reason } from '../types.js'
import type { Due } from '../util/scheduler.js'
import { WheelNode } from '../util/timer-wheel.js'
import type { Connection, Page } from './page.js'
import type { PingSchedule } from './ping-schedule.js'

/** Close codes of RFC 6455 §7.4; `SESSION_ENDED` is in the private range. */
const NORMAL = 1000
const SERVICE_RESTART = 1012
const SESSION_ENDED = 4000

/** After this many unanswered pings, and at the latest after a minute, the peer is considered gone. */
const MAX_UNANSWERED = 3
const MAX_SILENCE = 60_000

/** The arguments of Node.js's `upgrade` event. */
export type Upgrade = [req: IncomingMessage, connection: Duplex, head: Buffer]

/** Accepts an upgrade, and connects the page to the new WebSocket. `ws` responds to an invalid handshake with 400 or 405. */
export function acceptUpgrade([req, connection, head]: Upgrade, page: Page, pings: PingSchedule): void {
  server.handleUpgrade(req, connection, head, socket => socket.serve(page, connection, pings))
}

/** The WebSocket of a page. */
class PageSocket extends WebSocket implements Connection {
  #page: Page | undefined
  #liveness: Liveness | undefined

  serve(page: Page, connection: Duplex, pings: PingSchedule): void {
    this.#page = page
    this.#liveness = new Liveness(this, connection, pings)
    listen(this)
    page.connect(this)
  }

  end(reason: Reason): void {
    if (reason === 'shutdown') this.close(SERVICE_RESTART)
    else this.close(SESSION_ENDED, reason)
  }

  requestRenewal(): void {
    this.send('renew')
  }

  /** The peer has responded to a ping, or sent a message. */
  noteActivity(): void {
    this.#liveness?.noteActivity()
  }

  /** The connection has closed. @param reason that of the Close frame: the hint, if it is a goodbye */
  closed(code: number, reason: string): void {
    this.#liveness?.stop()
    this.#page?.disconnect(this, code === NORMAL, reason === 'within' ? reason : undefined)
  }
}

/** Pings a socket, and terminates it when its peer is gone. Browsers respond to pings without the page, even for hidden and frozen tabs. */
class Liveness extends WheelNode implements Due {
  readonly #socket: WebSocket
  readonly #connection: Duplex
  readonly #pings: PingSchedule
  #unanswered = 0

  /** @param connection the TCP connection or TLS socket under the WebSocket */
  constructor(socket: WebSocket, connection: Duplex, pings: PingSchedule) {
    super()
    this.#socket = socket
    this.#connection = connection
    this.#pings = pings
    pings.scheduleNext(this)
  }

  noteActivity(): void {
    this.#unanswered = 0
  }

  stop(): void {
    this.#pings.cancel(this)
  }

  /** The next ping is due. */
  run(): void {
    this.#unanswered++
    if (this.#unanswered >= Math.min(MAX_UNANSWERED, Math.floor(MAX_SILENCE / this.#pings.interval))) {
      this.#socket.terminate()
      return
    }
    this.#pings.scheduleNext(this)
    // Written directly to the connection: `ws` would build both frames again for each page. Without compression and fragmentation, `ws`
    // never has a partly sent frame. No frame may follow a Close frame.
    if (this.#socket.readyState === WebSocket.OPEN) this.#connection.write(PING_FRAMES)
  }
}

/** A ping, and the text message `1` for the watchdog of the client, since scripts can't see pings (RFC 6455 §5.2). */
const PING_FRAMES = Buffer.from([0x89, 0, 0x81, 1, 0x31])

/** Messages of the client are short. Their content is ignored. */
const LIMITS = {
  maxPayload: 1_024,
  maxFragments: 16,
  maxBufferedChunks: 16,
  /** Otherwise a peer that sends pings and doesn't read the pongs could exhaust the memory. */
  maxPendingAutoPongs: 16,
  /** How long the peer may take to respond to a Close frame and end the connection; milliseconds. */
  closeTimeout: 1_000,
}

const server = new WebSocketServer<typeof PageSocket>({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  WebSocket: PageSocket,
  ...LIMITS,
})

/** The listeners are shared by all sockets: closures would take several hundred bytes per page. */
function listen(socket: EventEmitter): void {
  socket.on('pong', onActivity).on('message', onActivity).on('close', onClose).on('error', ignore)
}

function onActivity(this: PageSocket): void {
  this.noteActivity()
}

function onClose(this: PageSocket, code: number, reason: Buffer): void {
  this.closed(code, reason.toString())
}

/** Followed by `close`. */
function ignore(): void {}
