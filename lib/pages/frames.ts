import { isUtf8 } from 'node:buffer'

// The frames of RFC 6455 §5, as far as an idle page needs them: no extensions, short messages, whose content means nothing.

const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

/** Status codes of RFC 6455 §7.4.1. */
const PROTOCOL_ERROR = 1002
const NO_STATUS = 1005
const INVALID_DATA = 1007
const TOO_BIG = 1009

/** The most bytes of a message, also of one in fragments. */
const LONGEST_MESSAGE = 1_024
const LONGEST_CONTROL = 125
/** The bytes of a mask. */
const MASK = 4

/** What is told of what the peer sends. */
export interface FrameListener {
  /** A pong, or a whole message. */
  heard(): void
  pinged(payload: Buffer): void
  /** The peer closes; nothing is read after it. @param payload what an answer repeats: the code and the reason */
  closed(code: number, payload: Buffer): void
  /** What came is not as it has to be; nothing is read after it. @param code what the peer is to be told */
  failed(code: number): void
}

/** Reads what a client sends, in whatever pieces it comes. */
export class FrameReader {
  /** The beginning of a frame whose end is on its way. */
  #rest: Buffer = NOTHING
  /** The payload of the fragments that have come; `undefined` outside of a message in fragments. */
  #message: Buffer | undefined
  #isText = false
  #isOver = false

  /** Whether all that has come is read, and more may come: then another reader can go on. */
  get isAtRest(): boolean {
    return this.#rest.length === 0 && this.#message === undefined && !this.#isOver
  }

  read(bytes: Buffer, listener: FrameListener): void {
    if (this.#isOver) return
    let left: Buffer = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (left.length >= 2) {
      const payload = payloadLength(left)
      const refusal = this.#refusal(left, payload ?? 0)
      if (refusal !== undefined) {
        this.#end()
        listener.failed(refusal)
        return
      }
      if (payload === undefined) break
      const begin = headLength(left) + MASK
      const end = begin + payload
      if (left.length < end) break
      this.#take(left.subarray(0, end), begin, listener)
      if (this.#isOver) return
      left = left.subarray(end)
    }
    // A copy: otherwise some bytes would keep all that came with them in memory.
    this.#rest = left.length === 0 ? NOTHING : Buffer.from(left)
  }

  /** What the peer is to be told of a frame that must not come. @param payload its length, as far as it is known */
  #refusal(bytes: Buffer, payload: number): number | undefined {
    const first = bytes[0] as number
    const second = bytes[1] as number
    const isMasked = second >= 0x80
    if (!isMasked || !this.#isAllowed(first, second & 0x7f)) return PROTOCOL_ERROR
    const isControl = (first & 0x0f) >= CLOSE
    const before = this.#message?.length ?? 0
    return !isControl && payload > 0 && before + payload > LONGEST_MESSAGE ? TOO_BIG : undefined
  }

  /** By its first byte, and the seven bits of its length. */
  #isAllowed(first: number, short: number): boolean {
    const opcode = first & 0x0f
    // The bits for extensions, of which none was agreed.
    if ((first & 0x70) !== 0) return false
    if (opcode === CONTINUATION) return this.#message !== undefined
    if (opcode === TEXT || opcode === BINARY) return this.#message === undefined
    if (opcode < CLOSE || opcode > PONG) return false
    const isFinal = first >= 0x80
    return isFinal && short <= LONGEST_CONTROL && !(opcode === CLOSE && short === 1)
  }

  /** @param begin where its payload begins */
  #take(bytes: Buffer, begin: number, listener: FrameListener): void {
    const first = bytes[0] as number
    const opcode = first & 0x0f
    if (opcode === PONG) {
      listener.heard()
      return
    }
    const payload = unmask(bytes, begin)
    if (opcode === PING) listener.pinged(payload)
    else if (opcode === CLOSE) this.#takeClose(payload, listener)
    else this.#takeFragment(opcode, first >= 0x80, payload, listener)
  }

  #takeClose(payload: Buffer, listener: FrameListener): void {
    this.#end()
    const code = payload.length === 0 ? NO_STATUS : payload.readUInt16BE(0)
    if (payload.length > 0 && !isSendable(code)) listener.failed(PROTOCOL_ERROR)
    else if (!isUtf8(payload.subarray(2))) listener.failed(INVALID_DATA)
    else listener.closed(code, payload)
  }

  #takeFragment(opcode: number, isFinal: boolean, payload: Buffer, listener: FrameListener): void {
    if (opcode !== CONTINUATION) this.#isText = opcode === TEXT
    const message = this.#message === undefined ? payload : Buffer.concat([this.#message, payload])
    if (!isFinal) {
      this.#message = message
      return
    }
    this.#message = undefined
    if (!this.#isText || isUtf8(message)) {
      listener.heard()
      return
    }
    this.#end()
    listener.failed(INVALID_DATA)
  }

  #end(): void {
    this.#isOver = true
    this.#rest = NOTHING
    this.#message = undefined
  }
}

/** A frame of the server's, which is not masked. @param payload of at most 125 bytes */
export function frame(opcode: number, payload: Buffer = NOTHING): Buffer {
  return Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload])
}

/** The frame of a close. */
export function closeFrame(code: number, reason = ''): Buffer {
  return frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]))
}

/** The frame of a text message. */
export function textFrame(text: string): Buffer {
  return frame(TEXT, Buffer.from(text))
}

/** Of what comes before the mask: the second byte tells the length of the payload, or how many bytes do. */
function headLength(bytes: Buffer): number {
  const short = (bytes[1] as number) & 0x7f
  if (short < 126) return 2
  return short === 126 ? 4 : 10
}

/** `undefined` while that has yet to come. */
function payloadLength(bytes: Buffer): number | undefined {
  const head = headLength(bytes)
  if (bytes.length < head) return undefined
  if (head === 2) return (bytes[1] as number) & 0x7f
  return head === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
}

function unmask(bytes: Buffer, begin: number): Buffer {
  const payload = Buffer.from(bytes.subarray(begin))
  const mask = begin - MASK
  for (let i = 0; i < payload.length; i++) payload[i]! ^= bytes[mask + (i & 3)] as number
  return payload
}

/** Whether a close frame may have that code. */
function isSendable(code: number): boolean {
  if (code >= 3000) return code <= 4999
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== NO_STATUS && code !== 1006
}

const NOTHING = Buffer.alloc(0)
