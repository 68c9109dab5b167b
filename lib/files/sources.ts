import { createReadStream } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import { invalid } from '../errors.js'

/** What there is to read, and what it is called by itself. */
export interface Source {
  readonly content: Readable | Uint8Array
  readonly name?: string
  /** What is read by way of `content`: to be destroyed too, since it may stand still. */
  readonly origin?: { destroy?(): unknown }
}

export async function sourceOf(data: unknown): Promise<Source> {
  if (typeof data === 'string') return { content: Buffer.from(data) }
  if (data instanceof Uint8Array) return { content: data }
  if (data instanceof ArrayBuffer) return { content: new Uint8Array(data) }
  if (data instanceof Readable && !data.readableObjectMode) return { content: guarded(data) }
  if (data instanceof Blob) return { content: fromWeb(data.stream()), ...nameOf(data) }
  if (typeof ReadableStream === 'function' && data instanceof ReadableStream)
    return { content: fromWeb(data) }
  if (isIterable(data)) {
    return { content: guarded(Readable.from(bytesOf(guarded(data)), { objectMode: false })), origin: data }
  }
  const path = (data as { path?: unknown } | null | undefined)?.path
  if (typeof path !== 'string') throw invalid('the data of saveFile()', DATA, data)
  // `stat` would do for the kind, but a link below an upload directory may be a user's way to another file.
  if (!(await lstat(path)).isFile()) throw invalid('the path given to saveFile()', 'a regular file', path)
  return { content: guarded(createReadStream(path)), name: basename(path) }
}

/**
 * Reads bytes that an app may use again before they are written: copied, piece by piece, so that what is hashed is what is
 * written.
 */
export function readableOf(bytes: Uint8Array): Readable {
  return Readable.from(copiesOf(bytes), { objectMode: false })
}

function* copiesOf(bytes: Uint8Array): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE) yield Buffer.from(bytes.subarray(at, at + PIECE))
}

const PIECE = 64 * 1024

const DATA = 'bytes, a string as text, a stream, a Blob, or { path } of a file'

function fromWeb(stream: ReadableStream): Readable {
  return guarded(Readable.fromWeb(stream as NodeReadableStream))
}

/** An error that comes before the first read, or after the last, must not end the process; who reads is told of it. */
function guarded<T extends object>(stream: T & { on?(event: 'error', listener: () => void): unknown }): T {
  stream.on?.('error', () => {})
  return stream
}

/** Streams of objects, and those of `readable-stream`, which are none of Node's own. */
function isIterable(data: unknown): data is AsyncIterable<unknown> & Source['origin'] & object {
  return (
    typeof (data as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator] === 'function'
  )
}

/** Anything but bytes and text would be thrown where nobody could catch it. */
async function* bytesOf(data: AsyncIterable<unknown>): AsyncGenerator<string | Uint8Array> {
  for await (const chunk of data) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array))
      throw invalid('what comes from a stream given to saveFile()', 'bytes or text', chunk)
    yield chunk
  }
}

/** A `File` is a Blob with a name. */
function nameOf(blob: Blob & { name?: unknown }): { name?: string } {
  return typeof blob.name === 'string' ? { name: blob.name } : {}
}
