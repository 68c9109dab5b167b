import type { ServerResponse } from 'node:http'
import type { RawData, WebSocket } from 'ws'
import { Deadline, type Deadlines } from '../core/deadlines.js'
import type { EndReason } from '../engines/engine.js'
import type { Connection, Page } from './pages.js'

/** Close codes of RFC 6455 §7.4, and one of our own from the private range. */
const NORMAL = 1000
const SERVICE_RESTART = 1012
const SESSION_ENDED = 4000

/** A peer is taken for gone when it was silent for this many heartbeats, and at the latest after a minute. */
const MOST_UNHEARD = 3
const LONGEST_SILENCE = 60_000
/** How long the other side may take to answer a close. */
const CLOSING = 1_000

/** The WebSocket of our client. Its pongs come from the browser itself, also for a hidden or frozen tab. */
export class SocketConnection implements Connection {
  readonly isExclusive = true
  readonly #socket: WebSocket
  readonly #deadlines: Deadlines
  readonly #beat: Deadline
  readonly #heartbeat: number
  /** Heartbeats since the peer was last heard. */
  #unheard = 0

  /** @param heartbeat milliseconds between two pings */
  constructor(socket: WebSocket, page: Page, deadlines: Deadlines, heartbeat: number) {
    this.#socket = socket
    this.#deadlines = deadlines
    this.#heartbeat = heartbeat
    this.#beat = new Deadline(() => this.#tick())
    const heard = () => {
      this.#unheard = 0
    }
    socket.on('pong', heard)
    socket.on('message', (_data: RawData) => heard())
    // Always followed by `close`, which says all that matters here.
    socket.on('error', () => {})
    socket.on('close', code => {
      this.#deadlines.cancel(this.#beat)
      page.disconnect(this, code === NORMAL)
    })
    page.connect(this)
    this.#deadlines.schedule(this.#beat, heartbeat)
  }

  close(reason: EndReason): void {
    if (reason === 'shutdown') this.#socket.close(SERVICE_RESTART)
    else this.#socket.close(SESSION_ENDED, reason)
    const limit = new Deadline(() => this.terminate())
    this.#deadlines.schedule(limit, CLOSING)
    this.#socket.once('close', () => this.#deadlines.cancel(limit))
  }

  renew(): boolean {
    this.#socket.send('renew')
    return true
  }

  terminate(): void {
    this.#socket.terminate()
  }

  #tick(): void {
    this.#unheard++
    if (this.#unheard >= Math.min(MOST_UNHEARD, Math.floor(LONGEST_SILENCE / this.#heartbeat))) {
      this.terminate()
      return
    }
    this.#socket.ping()
    // Scripts can't see pings: this is for the watchdog of our client.
    this.#socket.send('1')
    this.#deadlines.schedule(this.#beat, this.#heartbeat)
  }
}

/** An event stream such as Gradio's, for clients that aren't ours: a bare `EventSource`, curl. */
export class StreamConnection implements Connection {
  readonly isExclusive = false
  readonly #res: ServerResponse
  readonly #end: () => void
  readonly #deadlines: Deadlines
  readonly #beat: Deadline
  readonly #heartbeat: number

  /** @param end ends the response */
  constructor(res: ServerResponse, page: Page, deadlines: Deadlines, heartbeat: number, end: () => void) {
    this.#res = res
    this.#end = end
    this.#deadlines = deadlines
    this.#heartbeat = heartbeat
    this.#beat = new Deadline(() => this.#tick())
    res.once('close', () => {
      this.#deadlines.cancel(this.#beat)
      page.disconnect(this, false)
    })
    page.connect(this)
    this.#tick()
  }

  close(reason: EndReason): void {
    this.#deadlines.cancel(this.#beat)
    this.#res.write(`event: close\ndata: ${reason}\n\n`)
    this.#end()
  }

  /** What foreign clients do about their cookies is their own affair. */
  renew(): boolean {
    return false
  }

  terminate(): void {
    this.#res.destroy()
  }

  #tick(): void {
    this.#res.write('data: ALIVE\n\n')
    this.#deadlines.schedule(this.#beat, this.#heartbeat)
  }
}
