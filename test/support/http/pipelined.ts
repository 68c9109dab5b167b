import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { Visitor } from '../../../lib/testing/index.ts'

/** Sends requests of a user on one connection, without waiting for the responses: `'GET /path'`. */
export async function pipelined(
  t: TestContext,
  port: number,
  user: Visitor,
  requests: string[],
): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  t.after(() => socket.destroy())
  // The server may close it first.
  socket.on('error', () => {})
  socket.write(bytesOf(user, requests))
  return socket
}

/** What a client sends for these requests. */
export function bytesOf(user: Visitor, requests: string[]): string {
  const cookie = [...user.cookies].map(pair => pair.join('=')).join('; ')
  const headers = `Host: 127.0.0.1\r\nCookie: ${cookie}\r\nContent-Length: 0`
  return requests.map(request => `${request} HTTP/1.1\r\n${headers}\r\n\r\n`).join('')
}
