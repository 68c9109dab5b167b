import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { EndReason } from '../sessions/engine.js'
import { Deadline } from '../util/scheduler.js'
import type { Beats } from './beats.js'
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
 * open page, and next to nothing is ever said on it: so it is one object on a bare socket, whose listeners all share, and what it
 * is due for is its page's. Its methods are private to the compiler alone, for the reason told at `Session`.
 */
export class SocketConnection implements Connection, FrameListener {
  readonly beats: Beats
  readonly #socket: Duplex
  readonly #page: Page
  /** Of what has come in part; mostly frames come whole. */
  #reader: FrameReader | undefined
  /** Heartbeats since the peer was last heard. */
  #unheard = 0
  /** The end of a close that takes too long, once it is closing. */
  #limit: Deadline | undefined

  /** @param socket after its handshake */
  constructor(socket: Duplex, page: Page, beats: Beats) {
    this.#socket = socket
    this.#page = page
    this.beats = beats
    listenTo(socket, this)
    page.connect(this)
  }

  get isExclusive(): boolean {
    return true
  }

  close(reason: EndReason): void {
    if (reason === 'shutdown') this.beginClose(closeFrame(SERVICE_RESTART), CLOSING)
    else this.beginClose(closeFrame(SESSION_ENDED, reason), CLOSING)
  }

  renew(): boolean {
    this.send(RENEW)
    return true
  }

  terminate(): void {
    this.#socket.destroy()
  }

  beat(): void {
    this.#unheard++
    if (this.#unheard >= Math.min(MOST_UNHEARD, Math.floor(LONGEST_SILENCE / this.beats.interval))) {
      this.terminate()
    } else {
      this.send(BEAT)
    }
  }

  receive(bytes: Buffer): void {
    const reader = this.#reader ?? new FrameReader()
    reader.read(bytes, this)
    this.#reader = reader.isAtRest ? undefined : reader
  }

  heard(): void {
    this.#unheard = 0
  }

  pinged(payload: Buffer): void {
    if (this.#socket.writableLength < MOST_UNSENT) this.send(frame(PONG, payload))
  }

  closed(code: number, payload: Buffer): void {
    this.end(frame(CLOSE, payload))
    this.#page.disconnect(this, code === NORMAL)
  }

  failed(code: number): void {
    this.end(closeFrame(code))
    this.#page.disconnect(this, false)
  }

  /** The socket is gone. */
  lost(): void {
    if (this.#limit !== undefined) this.beats.deadlines.cancel(this.#limit)
    this.#page.disconnect(this, false)
  }

  /** Nothing more is read. Who has closed already is waited for as before. */
  private end(closing: Buffer): void {
    this.beginClose(closing, ENDING)
    this.#socket.end()
  }

  private beginClose(closing: Buffer, limit: number): void {
    if (this.#limit !== undefined) return
    this.send(closing)
    this.#limit = new Deadline(() => this.terminate())
    this.beats.deadlines.schedule(this.#limit, limit)
  }

  private send(bytes: Buffer): void {
    if (this.#limit === undefined && this.#socket.writable) this.#socket.write(bytes)
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
