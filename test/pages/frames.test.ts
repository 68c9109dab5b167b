// What a peer sends is read as `ws` reads it, in whatever pieces it comes.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import type { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import {
  closeFrame,
  type FrameListener,
  FrameReader,
  frame,
  PING,
  textFrame,
} from '../../lib/pages/frames.ts'

// It has no types of its own.
const { Receiver } = createRequire(import.meta.url)('ws') as { Receiver: new (options: object) => Writable }

/** What our reader tells of bytes that come in these pieces. */
function read(pieces: readonly Buffer[]): string[] {
  const told: string[] = []
  const listener: FrameListener = {
    heard: () => told.push('heard'),
    pinged: payload => told.push(`ping ${payload.toString('hex')}`),
    closed: (code, payload) => told.push(`close ${code} ${payload.subarray(2).toString('hex')}`),
    failed: code => told.push(`failed ${code}`),
  }
  const reader = new FrameReader()
  for (const piece of pieces) {
    const before = Buffer.from(piece)
    reader.read(piece, listener)
    assert.deepEqual(piece, before, 'what came is left as it was')
  }
  return told
}

/** The same of ws, which is given the bytes at once. */
async function readByWs(bytes: Buffer): Promise<string[]> {
  const told: string[] = []
  const receiver = new Receiver({ isServer: true, maxPayload: 1_024 })
  receiver.on('pong', () => told.push('heard'))
  receiver.on('message', () => told.push('heard'))
  receiver.on('ping', (payload: Buffer) => told.push(`ping ${payload.toString('hex')}`))
  receiver.on('conclude', (code: number, reason: Buffer) =>
    told.push(`close ${code} ${reason.toString('hex')}`),
  )
  receiver.on('error', (error: Error & Record<symbol, number>) => {
    const [code] = Object.getOwnPropertySymbols(error).map(symbol => error[symbol])
    told.push(`failed ${code}`)
  })
  // It unmasks in place.
  receiver.write(Buffer.from(bytes))
  await turn()
  return told
}

interface Sent {
  readonly first: number
  readonly isMasked: boolean
  readonly mask: Uint8Array
  readonly payload: Uint8Array
  /** Lengths may be told in more bytes than they need. */
  readonly lengthBytes: number
}

function bytesOf({ first, isMasked, mask, payload, lengthBytes }: Sent): Buffer {
  const least = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8
  const form = Math.max(lengthBytes, least)
  const length = Buffer.alloc(form)
  if (form === 2) length.writeUInt16BE(payload.length)
  if (form === 8) length.writeBigUInt64BE(BigInt(payload.length))
  const short = { 0: payload.length, 2: 126, 8: 127 }[form] as number
  const head = Buffer.from([first, (isMasked ? 0x80 : 0) | short])
  const masked = payload.map((byte, index) => byte ^ (isMasked ? (mask[index % 4] as number) : 0))
  return Buffer.concat([head, length, isMasked ? mask : Buffer.alloc(0), masked])
}

const mostly = <T>(value: T, other: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 30, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: other })

const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 200 }).map(text => Buffer.from(text)),
  fc.constantFrom(125, 126, 500, 1_023, 1_024, 1_025, 70_000).map(length => new Uint8Array(length).fill(97)),
  // A code, and a reason.
  fc
    .tuple(fc.constantFrom(0, 999, 1000, 1001, 1004, 1005, 1006, 1014, 1015, 3000, 4999, 5000), fc.string())
    .map(([code, reason]) => closeFrame(code, reason.slice(0, 40)).subarray(2)),
)

const sent: fc.Arbitrary<Sent> = fc.record({
  first: fc
    .tuple(
      fc.constantFrom(0, 1, 2, 8, 9, 9, 10, 10, 10),
      mostly(0, fc.integer({ min: 0, max: 15 })),
      mostly(0, fc.constantFrom(0x10, 0x20, 0x40)),
      fc.constantFrom(0x80, 0x80, 0x80, 0),
    )
    .map(([opcode, other, reserved, final]) => (opcode ^ other) | reserved | final),
  isMasked: mostly(true, fc.constant(false)),
  mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
  payload: payloads,
  lengthBytes: mostly(0, fc.constantFrom(2, 8)),
})

const streams = fc.oneof(
  fc.array(sent, { maxLength: 8 }).map(frames => Buffer.concat(frames.map(bytesOf))),
  fc.uint8Array({ maxLength: 60 }).map(bytes => Buffer.from(bytes)),
)

/** In pieces of these lengths, the last of which goes on to the end. */
function inPieces(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  let at = 0
  for (const length of lengths) {
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return [...pieces, bytes.subarray(at)]
}

describe('frames', () => {
  it('any bytes are read as ws reads them', async () => {
    await fc.assert(
      fc.asyncProperty(streams, async bytes => {
        assert.deepEqual(read([bytes]), await readByWs(bytes))
      }),
      { numRuns: 3_000 },
    )
  })

  it('the pieces in which they come make no difference', () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 40 })
    fc.assert(
      fc.property(streams, lengths, (bytes, lengths) => {
        assert.deepEqual(read(inPieces(bytes, lengths)), read([bytes]))
      }),
      { numRuns: 2_000 },
    )
  })

  it('a message in fragments, with a ping between them, one byte at a time', () => {
    const client = (first: number, text: string) =>
      bytesOf({
        first,
        isMasked: true,
        mask: Buffer.from([1, 2, 3, 4]),
        payload: Buffer.from(text),
        lengthBytes: 0,
      })
    const euro = Buffer.from('€').toString('latin1')
    const parts = [client(0x01, 'a'), client(0x89, 'ping'), client(0x00, euro), client(0x80, '')]
    const bytes = Buffer.concat(parts)
    const expected = [`ping ${Buffer.from('ping').toString('hex')}`, 'heard']
    assert.deepEqual(read([...bytes].map(byte => Buffer.from([byte]))), expected)
  })

  it('a length that no memory could hold is refused before any of it has come', () => {
    assert.deepEqual(read([Buffer.from('82ffffffffffffffffff', 'hex')]), ['failed 1009'])
  })

  it('what the server sends is as the RFC has it', () => {
    assert.equal(frame(PING).toString('hex'), '8900')
    assert.equal(textFrame('1').toString('hex'), '810131')
    assert.equal(closeFrame(4000, 'ended').toString('hex'), '88070fa0656e646564')
  })
})
