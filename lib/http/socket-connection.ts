import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Deadlines, Due } from '../core/deadlines.js'
import type { EndReason } from '../engines/engine.js'
import { WheelNode } from '../timer-wheel.js'
import { scheduleBeat } from './beats.js'
import type { Connection } from './connection.js'
import { CLOSE, closeFrame, type FrameListener, FrameReader, frame, PING, PONG, textFrame } from './frames.js'
import type { Page } from './page.js'

/** Close codes of RFC 6455 §7.4, and one of our own from the private range. */
const NORMAL = 1000
const SERVICE_RESTART = 1012
const SESSION_ENDED = 4000

/** A peer is taken for gone when it was silent for this many heartbeats, and at the latest after a minute. */
const MOST_UNHEARD = 3
const LONGEST_SILENCE = 60_000
/** How long the other side may take to answer a close. */
const CLOSING = 1_000
/** How long it may take to end the connection after its own close, or after an error. */
const ENDING = 30_000
/** A peer that pings and doesn't read is answered no more: RFC 6455 §5.5.3 has not every ping answered. */
const MOST_UNSENT = 4_096

/** In one write. Scripts can't see pings: the message is for the watchdog of our client. */
const BEAT = Buffer.concat([frame(PING), textFrame('1')])
const RENEW = textFrame('renew')

/**
 * The WebSocket of our client. Its pongs come from the browser itself, also for a hidden or frozen tab. There is one for each
 * open page, and next to nothing is ever said on it: so it is one object on a bare socket, whose listeners all share.
 */
export class SocketConnection extends WheelNode implements Connection, Due, FrameListener {
  readonly isExclusive = true
  readonly #socket: Duplex
  readonly #page: Page
  readonly #deadlines: Deadlines
  readonly #heartbeat: number
  readonly #reader = new FrameReader()
  /** Heartbeats since the peer was last heard. */
  #unheard = 0
  #isClosing = false

  /**
   * @param socket after its handshake
   * @param heartbeat milliseconds between two pings
   */
  constructor(socket: Duplex, page: Page, deadlines: Deadlines, heartbeat: number) {
    super()
    this.#socket = socket
    this.#page = page
    this.#deadlines = deadlines
    this.#heartbeat = heartbeat
    listenTo(socket, this)
    page.connect(this)
    scheduleBeat(deadlines, this, heartbeat)
  }

  close(reason: EndReason): void {
    if (reason === 'shutdown') this.#close(closeFrame(SERVICE_RESTART), CLOSING)
    else this.#close(closeFrame(SESSION_ENDED, reason), CLOSING)
  }

  renew(): boolean {
    this.#send(RENEW)
    return true
  }

  terminate(): void {
    this.#socket.destroy()
  }

  /** A beat is due, or the end of a close that takes too long. */
  run(): void {
    this.#unheard++
    if (
      this.#isClosing ||
      this.#unheard >= Math.min(MOST_UNHEARD, Math.floor(LONGEST_SILENCE / this.#heartbeat))
    ) {
      this.terminate()
      return
    }
    this.#send(BEAT)
    scheduleBeat(this.#deadlines, this, this.#heartbeat)
  }

  receive(bytes: Buffer): void {
    this.#reader.read(bytes, this)
  }

  heard(): void {
    this.#unheard = 0
  }

  pinged(payload: Buffer): void {
    if (this.#socket.writableLength < MOST_UNSENT) this.#send(frame(PONG, payload))
  }

  closed(code: number, payload: Buffer): void {
    this.#end(frame(CLOSE, payload))
    this.#page.disconnect(this, code === NORMAL)
  }

  failed(code: number): void {
    this.#end(closeFrame(code))
    this.#page.disconnect(this, false)
  }

  /** The socket is gone. */
  lost(): void {
    this.#deadlines.cancel(this)
    this.#page.disconnect(this, false)
  }

  /** Nothing more is read. Who has closed already is waited for as before. */
  #end(closing: Buffer): void {
    this.#close(closing, ENDING)
    this.#socket.end()
  }

  #close(closing: Buffer, limit: number): void {
    if (this.#isClosing) return
    this.#send(closing)
    this.#isClosing = true
    this.#deadlines.schedule(this, limit)
  }

  #send(bytes: Buffer): void {
    if (!this.#isClosing && this.#socket.writable) this.#socket.write(bytes)
  }
}

/** Listeners find their connection at the socket: for each page, closures would take more memory than the connection. */
const CONNECTION = Symbol('gradio-state.connection')

type PageSocket = Duplex & { [CONNECTION]: SocketConnection } & Partial<
    Pick<Socket, 'setTimeout' | 'setNoDelay'>
  >

function listenTo(socket: Duplex, connection: SocketConnection): void {
  const ours = Object.assign(socket, { [CONNECTION]: connection }) as PageSocket
  ours.setTimeout?.(0)
  ours.setNoDelay?.()
  // Those of an HTTP server are half-open after the peer's end (Node.js docs, `stream.Duplex`, allowHalfOpen).
  ours.allowHalfOpen = false
  ours.on('error', onError).on('close', onClose).on('data', onData)
}

function onData(this: PageSocket, bytes: Buffer): void {
  this[CONNECTION].receive(bytes)
}

/** Followed by `close`, which says all that matters here. */
function onError(this: PageSocket): void {
  this.destroy()
}

function onClose(this: PageSocket): void {
  this[CONNECTION].lost()
}
