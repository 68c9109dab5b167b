// Requests, responses and sockets without a network: the parts that the library uses, without delays.

import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'

export function stubRequest(method: string, url: string, headers: Record<string, string>): IncomingMessage {
  return { method, url, headers, socket: {} } as unknown as IncomingMessage
}

/** A response. It is closed when the test says so, or when the server destroys it. */
export class StubResponse extends EventEmitter {
  statusCode = 200
  headersSent = false
  writableEnded = false
  writableFinished = false
  destroyed = false
  text = ''
  readonly #headers = new Map<string, string | string[]>()

  get asResponse(): ServerResponse {
    return this as unknown as ServerResponse
  }

  setHeader(name: string, value: string): this {
    this.#headers.set(name.toLowerCase(), value)
    return this
  }

  appendHeader(name: string, value: string): this {
    const key = name.toLowerCase()
    this.#headers.set(key, [this.#headers.get(key) ?? [], value].flat())
    return this
  }

  getHeader(name: string): string | string[] | undefined {
    return this.#headers.get(name.toLowerCase())
  }

  getHeaderNames(): string[] {
    return [...this.#headers.keys()]
  }

  writeHead(status: number, headers: Record<string, string> = {}): this {
    this.statusCode = status
    for (const [name, value] of Object.entries(headers)) this.setHeader(name, String(value))
    this.headersSent = true
    return this
  }

  flushHeaders(): void {}

  write(text: string): boolean {
    if (!this.headersSent) this.writeHead(this.statusCode)
    this.text += text
    this.emit('sent', text)
    return true
  }

  end(text = ''): this {
    if (this.writableFinished || this.destroyed) return this
    this.write(text)
    this.writableEnded = this.writableFinished = true
    this.emit('finish')
    return this
  }

  destroy(): this {
    queueMicrotask(() => this.close())
    return this
  }

  /** The connection is gone, whether or not the response was complete. */
  close(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}

/** A server that decides about upgrades like Node.js since 22.21. */
export class StubServer extends EventEmitter {
  get asServer(): Server {
    return this as unknown as Server
  }

  shouldUpgradeCallback(_req: IncomingMessage): boolean {
    return this.listenerCount('upgrade') > 0
  }
}

/** The server's end of a TCP connection to a browser's WebSocket; emits `answered` with a status. */
export class StubSocket extends Duplex {
  /** The response to the upgrade. */
  #status: number | undefined
  readonly #isLate: boolean
  readonly #onClose: (code: number, reason: string) => void
  #saidClose = false
  #received = Buffer.alloc(0)
  #finishDestroy: (() => void) | undefined

  /**
   * @param isLate whether `close` is emitted only after {@link closeAtLast} if the server drops the socket
   * @param onClose called with the server's close frame
   */
  constructor(isLate: boolean, onClose: (code: number, reason: string) => void) {
    super()
    this.#isLate = isLate
    this.#onClose = onClose
    // After the server has dropped the socket, data from the browser is ignored.
    this.on('error', () => {})
  }

  /** The browser closes the WebSocket with this code. */
  sayClose(code: number): void {
    this.#saidClose = true
    this.#send(0x88, Buffer.from([code >> 8, code & 0xff]))
  }

  /** The connection is lost. */
  break(): void {
    this.destroy()
    this.closeAtLast()
  }

  closeAtLast(): void {
    const finish = this.#finishDestroy
    this.#finishDestroy = undefined
    finish?.()
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#received = Buffer.concat([this.#received, chunk])
    if (this.#status === undefined) this.#readHead()
    if (this.#status === 101) this.#readFrames()
    done()
  }

  override _final(done: () => void): void {
    done()
    this.push(null)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#isLate && !this.#saidClose) this.#finishDestroy = () => done(error)
    else done(error)
  }

  #readHead(): void {
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return
    this.#status = Number(this.#received.toString('latin1', 9, 12))
    this.#received = this.#received.subarray(end + 4)
    this.emit('answered', this.#status)
  }

  /** Short frames only (RFC 6455 §5.2): longer ones are never sent here. */
  #readFrames(): void {
    while (this.#received.length >= 2 && this.#received.length >= 2 + this.#received[1]!) {
      const [type, length] = this.#received as unknown as [number, number]
      const payload = this.#received.subarray(2, 2 + length)
      this.#received = this.#received.subarray(2 + length)
      if (type === 0x89) this.#send(0x8a, payload)
      if (type !== 0x88 || this.#saidClose) continue
      this.#onClose(payload.readUInt16BE(0), payload.toString('utf8', 2))
      this.sayClose(payload.readUInt16BE(0))
    }
  }

  /** Responses are never synchronous. A mask of zeros leaves the payload unchanged. */
  #send(type: number, payload: Buffer): void {
    const frame = Buffer.concat([Buffer.from([type, 0x80 | payload.length, 0, 0, 0, 0]), payload])
    queueMicrotask(() => {
      if (!this.destroyed && !this.readableEnded) this.push(frame)
    })
  }
}
