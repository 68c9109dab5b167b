import { createHash } from 'node:crypto'
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { Deadline, type Deadlines } from '../util/scheduler.js'

/** What the key of a handshake is hashed with: RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** Those of RFC 6455, and of the last draft that has the same frames. */
const VERSIONS = ['13', '8']
/** A token of RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/

/**
 * Answers the opening handshake of a WebSocket (RFC 6455 §4.2), without extensions.
 * @returns whether it is open now; else it was refused, or its peer has gone
 */
export function shakeHands(req: IncomingMessage, socket: Duplex, deadlines: Deadlines): boolean {
  const { 'sec-websocket-key': key = '', 'sec-websocket-version': version = '' } = req.headers
  const protocols = req.headers['sec-websocket-protocol']?.split(',').map(protocol => protocol.trim())
  if (req.method !== 'GET') refuse(socket, 405, deadlines)
  else if (!VERSIONS.includes(version))
    refuse(socket, 400, deadlines, [`Sec-WebSocket-Version: ${VERSIONS.join(', ')}`])
  else if (!/^[+/0-9A-Za-z]{22}==$/.test(key)) refuse(socket, 400, deadlines)
  else if (protocols?.every(protocol => TOKEN.test(protocol)) === false) refuse(socket, 400, deadlines)
  else if (!socket.readable || !socket.writable) socket.destroy()
  else {
    const headers = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${createHash('sha1')
        .update(key + GUID)
        .digest('base64')}`,
      // A browser that has offered some takes no answer without any.
      ...(protocols === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocols[0]}`]),
    ]
    socket.write(`${headers.join('\r\n')}\r\n\r\n`)
    return true
  }
  return false
}

/** Answers an upgrade with an error. The connection is closed soon, whatever the peer does with its half. */
export function refuse(
  socket: Duplex,
  status: number,
  deadlines: Deadlines,
  headers: readonly string[] = [],
): void {
  const limit = new Deadline(() => socket.destroy())
  deadlines.schedule(limit, LONGEST_REFUSAL)
  socket.on('error', () => socket.destroy()).once('close', () => deadlines.cancel(limit))
  const all = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...headers,
    'Connection: close',
    'Content-Length: 0',
  ]
  // What the peer still sends is read, else its end would not be seen.
  socket.resume().end(`${all.join('\r\n')}\r\n\r\n`)
}

/** How long the peer may take to read the answer; milliseconds. Closed at once, the connection could lose it (RFC 9112 §9.6). */
const LONGEST_REFUSAL = 1_000
