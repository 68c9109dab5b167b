import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { Visitor } from '../../../lib/testing/index.ts'

const BOUNDARY = 'boundary-of-a-test'

/** A file, as a form sends it. */
export interface FormFile {
  name: string
  bytes: Uint8Array<ArrayBuffer> | string
  /** @default 'files' */
  field?: string
  type?: string
}

export interface Answer<T> {
  readonly status: number
  readonly body: T
}

/** The response of an app that handles errors with {@link tellErrors}. */
export interface Failure {
  readonly name: string
  readonly code: string
  readonly message: string
}

/** Sends files like `fetch` with a FormData. */
export async function upload<T = unknown>(
  user: Visitor,
  files: readonly FormFile[],
  path = '/upload',
): Promise<Answer<T>> {
  const body = new FormData()
  for (const { name, bytes, field = 'files', type } of files)
    body.append(field, new Blob([bytes], type === undefined ? {} : { type }), name)
  const response = await user.fetch(path, { method: 'POST', body })
  return { status: response.status, body: (await response.json()) as T }
}

/** The head of a part: what comes before the bytes of a file. */
export function partHead({ name, field = 'files' }: Pick<FormFile, 'name' | 'field'>): string {
  return `\r\n--${BOUNDARY}\r\nContent-Disposition: form-data; name="${field}"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n`
}

export const END = `\r\n--${BOUNDARY}--\r\n`

/** A complete request, byte by byte, with the ends of its stages. */
export function wholeRequest(user: Visitor, files: readonly FormFile[], path = '/upload') {
  const body = Buffer.concat([
    ...files.flatMap(file => [Buffer.from(partHead(file)), Buffer.from(file.bytes)]),
    Buffer.from(END),
  ])
  const head = Buffer.from(requestHead(user, path, `Content-Length: ${body.length}`))
  return { bytes: Buffer.concat([head, body]), head: head.length }
}

function requestHead(user: Visitor, path: string, length: string): string {
  const cookie = [...user.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  return [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: close',
    ...(cookie === '' ? [] : [`Cookie: ${cookie}`]),
    `Content-Type: multipart/form-data; boundary=${BOUNDARY}`,
    length,
    '\r\n',
  ].join('\r\n')
}

/** An upload that is sent in pieces. */
export interface SlowUpload {
  readonly socket: Socket
  /** Sends bytes unchanged: the head of a part, or its content. */
  send(bytes: string | Uint8Array): Promise<void>
  /** Sends the end of the body, and returns the response. */
  finish<T = unknown>(): Promise<Answer<T>>
}

/** Starts an upload: the head of the request is sent. */
export async function slowUpload(
  t: TestContext,
  port: number,
  user: Visitor,
  path = '/upload',
): Promise<SlowUpload> {
  const socket = connect({ port, host: '127.0.0.1' })
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  const closed = new Promise(resolve => socket.once('close', resolve))
  const received: Buffer[] = []
  socket.on('data', chunk => received.push(chunk))
  await once(socket, 'connect')
  socket.write(requestHead(user, path, 'Transfer-Encoding: chunked'))
  const send = (bytes: string | Uint8Array) =>
    new Promise<void>(resolve => {
      const chunk = Buffer.from(bytes)
      // An empty chunk would end the body (RFC 9112 §7.1).
      if (chunk.length === 0) return resolve()
      socket.write(`${chunk.length.toString(16)}\r\n`)
      socket.write(chunk)
      socket.write('\r\n', () => resolve())
    })
  return {
    socket,
    send,
    async finish<T>() {
      await send(END)
      socket.write('0\r\n\r\n')
      await closed
      const answer = Buffer.concat(received).toString()
      const json = answer.slice(answer.indexOf('\r\n\r\n'))
      return { status: Number(answer.split(' ')[1]), body: JSON.parse(json) as T }
    },
  }
}

/**
 * This many bytes, different from those of other files. No CR: the multipart parser would hold back a piece that ends with one
 * until the next piece, since the boundary may begin there.
 */
export function unique(size: number): Uint8Array<ArrayBuffer> {
  const bytes = randomBytes(size)
  for (let at = bytes.indexOf(CR); at >= 0; at = bytes.indexOf(CR, at + 1)) bytes[at] = 0
  return bytes
}

const CR = 13
