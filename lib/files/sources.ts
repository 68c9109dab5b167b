import { lstat } from 'node:fs/promises'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import { invalid } from '../errors.js'
import type { OpenFile } from './open-file.js'

/** The content to save, and its own name, if it has one. */
export interface Source {
  readonly content: Readable | Uint8Array
  readonly name?: string
  /** The stream that `content` reads from. Has to be destroyed as well, as destroying `content` doesn't end a pending read. */
  readonly origin?: { destroy?(): unknown }
}

/** @param open opens a regular file by its path, without following a link */
export async function sourceOf(
  data: unknown,
  open: (path: string) => Promise<OpenFile | undefined>,
): Promise<Source> {
  if (typeof data === 'string') return { content: Buffer.from(data) }
  if (data instanceof Uint8Array) return { content: data }
  if (data instanceof ArrayBuffer) return { content: new Uint8Array(data) }
  if (data instanceof Readable && !data.readableObjectMode) return { content: withErrorListener(data) }
  if (data instanceof Blob) return { content: fromWeb(data.stream()), ...nameOf(data) }
  if (typeof ReadableStream === 'function' && data instanceof ReadableStream)
    return { content: fromWeb(data) }
  if (isIterable(data)) {
    return {
      content: withErrorListener(Readable.from(bytesOf(withErrorListener(data)), { objectMode: false })),
      origin: data,
    }
  }
  const path = (data as { path?: unknown } | null | undefined)?.path
  if (typeof path !== 'string') throw invalid('the data of saveFile()', DATA, data)
  // A user may have tricked the app into creating a link in an upload directory, to read another file.
  const file = await open(path)
  if (file !== undefined)
    return { content: withErrorListener(file.handle.createReadStream()), name: basename(path) }
  // If there is nothing, its own error says so.
  await lstat(path)
  throw invalid('the path given to saveFile()', 'a regular file', path)
}

/**
 * Reads bytes that the app may change before they are written. Copies them chunk by chunk, so that the hash is that of the written
 * bytes.
 */
export function readableOf(bytes: Uint8Array): Readable {
  return Readable.from(copiesOf(bytes), { objectMode: false })
}

function* copiesOf(bytes: Uint8Array): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += CHUNK_SIZE) yield Buffer.from(bytes.subarray(at, at + CHUNK_SIZE))
}

const CHUNK_SIZE = 64 * 1024

const DATA = 'bytes, a string as text, a stream, a Blob, or { path } of a file'

function fromWeb(stream: ReadableStream): Readable {
  return withErrorListener(Readable.fromWeb(stream as NodeReadableStream))
}

/** Adds an error listener: an error before the first read or after the last must not end the process. Readers still see it. */
function withErrorListener<T extends object>(
  stream: T & { on?(event: 'error', listener: () => void): unknown },
): T {
  stream.on?.('error', () => {})
  return stream
}

/** Streams in object mode, and streams of `readable-stream`, which are not instances of Node's `Readable`. */
function isIterable(data: unknown): data is AsyncIterable<unknown> & Source['origin'] & object {
  return (
    typeof (data as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator] === 'function'
  )
}

/** Checks each chunk here, because for other types, `Readable.from` would throw where nothing could catch it. */
async function* bytesOf(data: AsyncIterable<unknown>): AsyncGenerator<string | Uint8Array> {
  for await (const chunk of data) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array))
      throw invalid('the data of a stream given to saveFile()', 'bytes or text', chunk)
    yield chunk
  }
}

/** A `File` is a Blob with a name. */
function nameOf(blob: Blob & { name?: unknown }): { name?: string } {
  return typeof blob.name === 'string' ? { name: blob.name } : {}
}
